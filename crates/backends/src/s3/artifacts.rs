//! Models and indexes: an object a hash.

use std::sync::Arc;

use merx_store::{ArtifactHash, Artifacts, Result, StoreError};
use object_store::path::Path;

use super::Bucket;
use crate::address::Address;

const WHAT: &str = "artifact";

pub struct S3Artifacts {
    bucket: Bucket,
}

impl S3Artifacts {
    pub fn open(address: &Address) -> Result<Self> {
        Ok(Self { bucket: Bucket::open(address, WHAT)? })
    }

    /// Tries the bucket. Words for who asked.
    pub fn check(address: &Address) -> Result<String> {
        Bucket::open(address, WHAT).map(|bucket| bucket.words())
    }

    fn path(&self, hash: ArtifactHash) -> Path {
        self.bucket.path(&hash.to_string())
    }
}

impl Artifacts for S3Artifacts {
    fn put(&self, bytes: &[u8]) -> Result<ArtifactHash> {
        let hash = ArtifactHash(*blake3::hash(bytes).as_bytes());
        // Written again only where it is not whole: the same name is always the same bytes.
        if !self.contains(hash)? || self.get(hash).is_err() {
            self.bucket.put(&self.path(hash), bytes.to_vec())?;
        }
        Ok(hash)
    }

    fn get(&self, hash: ArtifactHash) -> Result<Arc<[u8]>> {
        let bytes = self.bucket.get(&self.path(hash))?;
        if blake3::hash(&bytes).as_bytes() != &hash.0 {
            return Err(StoreError::Damaged { what: WHAT, detail: format!("{hash}: the bytes have another hash") });
        }
        Ok(bytes.as_ref().into())
    }

    fn contains(&self, hash: ArtifactHash) -> Result<bool> {
        Ok(self.bucket.head(&self.path(hash))?.is_some())
    }

    fn remove(&self, hash: ArtifactHash) -> Result<()> {
        self.bucket.remove(&self.path(hash))
    }

    fn list(&self) -> Result<Vec<ArtifactHash>> {
        let objects = self.bucket.list(None)?;
        let names = objects.iter().filter_map(|object| self.bucket.name_of(&object.location));
        let mut hashes: Vec<ArtifactHash> = names.filter_map(|name| name.parse().ok()).collect();
        hashes.sort_unstable();
        Ok(hashes)
    }
}
