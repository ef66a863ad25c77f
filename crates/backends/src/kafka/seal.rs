//! Bodies are sealed, each under a key of its own: XChaCha20-Poly1305 (RFC 8439 with a 24-byte nonce). A key seals one
//! body, so its nonce may be constant. The id of the event is authenticated with it.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use merx_domain::EventId;
use merx_store::{Result, StoreError};

use super::{WHAT, damaged};

pub(super) type Key = [u8; 32];
const NONCE: [u8; 24] = *b"merx event body format 1";

/// Keys of one append, from one piece of the system's randomness.
pub(super) struct Keys([u8; 32]);

impl Keys {
    pub(super) fn new() -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| StoreError::Unavailable { what: WHAT, detail: format!("no randomness: {error}") })?;
        Ok(Self(seed))
    }

    pub(super) fn number(&self, number: u64) -> Key {
        *blake3::keyed_hash(&self.0, &number.to_le_bytes()).as_bytes()
    }
}

pub(super) fn seal(key: &Key, id: EventId, body: &[u8]) -> Result<Vec<u8>> {
    let sealed = XChaCha20Poly1305::new(&(*key).into())
        .encrypt(&XNonce::from(NONCE), Payload { msg: body, aad: &id.to_bytes() });
    sealed.map_err(|_| StoreError::Unavailable { what: WHAT, detail: "a body could not be sealed".into() })
}

pub(super) fn open(key: &Key, id: EventId, sealed: &[u8]) -> Result<Vec<u8>> {
    let opened = XChaCha20Poly1305::new(&(*key).into())
        .decrypt(&XNonce::from(NONCE), Payload { msg: sealed, aad: &id.to_bytes() });
    opened.map_err(|_| damaged(format!("the body of event {id} is not the one that was written")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_key_and_id_open_a_body() {
        let keys = Keys::new().unwrap();
        let (key, other) = (keys.number(0), keys.number(1));
        let sealed = seal(&key, EventId(1), b"viewed").unwrap();
        assert_eq!(open(&key, EventId(1), &sealed).unwrap(), b"viewed");
        assert!(!sealed.windows(6).any(|window| window == b"viewed"));
        assert!(open(&other, EventId(1), &sealed).is_err());
        assert!(open(&key, EventId(2), &sealed).is_err());
        assert!(open(&key, EventId(1), &sealed[1..]).is_err());
    }
}
