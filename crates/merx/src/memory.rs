//! When memory that was freed goes back to the system.

/// The allocator's own second lets what a build of an index leaves behind pile up to a fifth of what it needs; a tenth of that costs no
/// time that shows.
const PURGE_DELAY_MS: std::ffi::c_long = 100;
/// `mi_option_purge_delay` of mimalloc's `mi_option_e`; its bindings don't name it.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// From now on freed memory goes back after [`PURGE_DELAY_MS`], unless the environment says otherwise.
pub(crate) fn give_back_soon() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: sets a number that the allocator reads whenever it frees.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, PURGE_DELAY_MS) };
    }
}

/// Gives back now what is free: after work that took much, for the allocator looks at it only when threads ask it for more.
pub(crate) fn give_back() {
    // SAFETY: frees what nobody holds.
    let collect = || unsafe { libmimalloc_sys::mi_collect(true) };
    // Each thread has what it took to itself, though others freed it.
    rayon::broadcast(|_| collect());
    collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocators_option_is_the_one_that_is_meant() {
        // SAFETY: reads a number.
        let delay_ms = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(delay_ms(), 1_000, "what mimalloc documents as its default: the options were numbered anew");
            give_back_soon();
            assert_eq!(delay_ms(), PURGE_DELAY_MS);
        }
    }
}
