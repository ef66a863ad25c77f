//! Keys and sealing: XChaCha20-Poly1305 (RFC 8439 with a 24-byte nonce), the nonce in front of the sealed bytes.

use std::io::Write;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::VaultError;

const NONCE_BYTES: usize = 24;

/// A secret of 256 bits. `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// From the operating system's randomness: keys must not be repeatable.
    pub(crate) fn random() -> Result<Self, VaultError> {
        let mut key = [0; 32];
        fill_random(&mut key)?;
        Ok(Self(key))
    }

    /// Seals `plain`; only the same key with the same `purpose` opens it, so that sealed values can't be swapped.
    pub(crate) fn seal(&self, plain: &[u8], purpose: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let cipher = XChaCha20Poly1305::new(&self.0.into());
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: purpose })
            .map_err(|_| VaultError::Sealing)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub(crate) fn open(&self, sealed: &[u8], purpose: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Unreadable)?;
        XChaCha20Poly1305::new(&self.0.into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: purpose })
            .map_err(|_| VaultError::Unreadable)
    }

    pub(crate) fn wrap(&self, key: &Key, purpose: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.seal(&key.0, purpose)
    }

    pub(crate) fn unwrap_key(&self, wrapped: &[u8], purpose: &[u8]) -> Result<Key, VaultError> {
        let key = self.open(wrapped, purpose)?;
        key.try_into().map(Key).map_err(|_| VaultError::Unreadable)
    }

    /// Another key for another use; from it this one can't be told.
    pub(crate) fn derived(&self, context: &str) -> Self {
        Self(blake3::derive_key(context, &self.0))
    }

    /// 128 bits of the keyed hash of a kind and a value.
    pub(crate) fn lookup(&self, kind: u8, value: &str) -> u128 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[kind]).update(value.as_bytes());
        let mut lookup = [0; 16];
        hasher.finalize_xof().fill(&mut lookup);
        u128::from_be_bytes(lookup)
    }
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), VaultError> {
    getrandom::fill(bytes).map_err(|error| VaultError::Randomness { detail: error.to_string() })
}

/// The key that wraps all others. Who has it and the database can read the vault; who loses it can't any more.
#[derive(Debug, Clone)]
pub struct MasterKey {
    pub(crate) key: Key,
    /// Tells which master key wrapped a key, without giving it away.
    pub(crate) id: [u8; 16],
}

impl MasterKey {
    pub fn random() -> Result<Self, VaultError> {
        Key::random().map(Self::new)
    }

    /// From 64 hexadecimal digits, as an environment variable holds them.
    pub fn from_hex(text: &str) -> Result<Self, VaultError> {
        let hash = blake3::Hash::from_hex(text.trim()).map_err(|_| VaultError::KeyFormat)?;
        Ok(Self::new(Key(*hash.as_bytes())))
    }

    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.key.0).to_hex().to_string()
    }

    /// Reads the key file, or makes one at the first start: readable by its owner only, on disk before anything is
    /// sealed with it.
    pub fn load_or_create(path: &Path) -> Result<Self, VaultError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_hex(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = Self::random()?;
                key.save(path).map_err(|error| key_file(path, &error))?;
                Ok(key)
            }
            Err(error) => Err(key_file(path, &error)),
        }
    }

    /// Writes a new key file; an existing one is never overwritten.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        Self::save_all(std::slice::from_ref(self), path)
    }

    /// The same with several keys, a line each.
    pub fn save_all(keys: &[Self], path: &Path) -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        for key in keys {
            writeln!(file, "{}", key.to_hex())?;
        }
        file.sync_all()?;
        match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    fn new(key: Key) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::derive_key("merx vault master key id 1", &key.0)[..16]);
        Self { key, id }
    }
}

fn key_file(path: &Path, error: &std::io::Error) -> VaultError {
    VaultError::KeyFile { path: path.display().to_string(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_purpose_open_what_was_sealed() {
        let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
        let mut sealed = key.seal(b"kim@post.example", b"subject 1").unwrap();
        assert_eq!(key.open(&sealed, b"subject 1").unwrap(), b"kim@post.example");
        assert!(other.open(&sealed, b"subject 1").is_err());
        assert!(key.open(&sealed, b"subject 2").is_err());
        sealed[30] ^= 1;
        assert!(key.open(&sealed, b"subject 1").is_err());
        assert!(key.open(b"short", b"subject 1").is_err());
    }

    #[test]
    fn the_key_file_is_made_once_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let key = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(MasterKey::load_or_create(&path).unwrap().to_hex(), key.to_hex());
        assert!(MasterKey::random().unwrap().save(&path).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(MasterKey::load_or_create(&path), Err(VaultError::KeyFormat)));
    }
}
