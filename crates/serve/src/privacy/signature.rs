//! HMAC-SHA256 over the bytes of a body, base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

fn mac(secret: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    // Keys of any length are taken.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    Some(mac)
}

pub(super) fn sign(secret: &str, body: &[u8]) -> String {
    mac(secret, body).map_or_else(String::new, |mac| STANDARD.encode(mac.finalize().into_bytes()))
}

/// In a time that tells nothing of the right one.
pub(super) fn verifies(secret: &str, body: &[u8], signature: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature.trim()) else { return false };
    mac(secret, body).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_signature() {
        // RFC 4231, test case 2.
        let signed = sign("Jefe", b"what do ya want for nothing?");
        let hex: String = STANDARD.decode(&signed).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(verifies("Jefe", b"what do ya want for nothing?", &signed));
        assert!(!verifies("Jefe", b"what do ya want for something?", &signed));
        assert!(!verifies("other", b"what do ya want for nothing?", &signed));
        assert!(!verifies("Jefe", b"what do ya want for nothing?", "not base64 at all"));
    }
}
