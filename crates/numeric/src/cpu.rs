//! What the processor can do, asked once.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512 with the integer products of VNNI.
    Vnni512,
    Avx512,
    Avx2,
    /// What the binary was built for.
    Portable,
}

#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn level() -> Level {
    use std::sync::atomic::{AtomicU8, Ordering};
    /// 0 until asked, then the level's place in `LEVELS` plus 1.
    static KNOWN: AtomicU8 = AtomicU8::new(0);
    const LEVELS: [Level; 4] = [Level::Vnni512, Level::Avx512, Level::Avx2, Level::Portable];
    #[cold]
    fn ask() -> usize {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq");
        match (avx512, avx2) {
            (true, _) if is_x86_feature_detected!("avx512vnni") => 0,
            (true, _) => 1,
            (_, true) => 2,
            _ => 3,
        }
    }
    let known = KNOWN.load(Ordering::Relaxed);
    if known != 0 {
        return LEVELS[usize::from(known) - 1];
    }
    let asked = ask();
    KNOWN.store(asked as u8 + 1, Ordering::Relaxed);
    LEVELS[asked]
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn level() -> Level {
    Level::Portable
}
