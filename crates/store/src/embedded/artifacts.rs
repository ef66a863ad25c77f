//! `Artifacts` in a folder: a file a hash.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{file_error, sync_folder_of};
use crate::{ArtifactHash, Artifacts, Result, StoreError};

const WHAT: &str = "artifact";
/// Ends the name of a file that is not complete.
const WRITING: &str = "writing";

pub struct FolderArtifacts {
    folder: PathBuf,
}

impl FolderArtifacts {
    pub fn open(folder: &Path) -> Result<Self> {
        let fail = |error: std::io::Error| file_error(WHAT, &error);
        fs::create_dir_all(folder).map_err(fail)?;
        // What a crash left half-written.
        for entry in fs::read_dir(folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.extension().is_some_and(|end| end == WRITING) {
                fs::remove_file(&path).map_err(fail)?;
            }
        }
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, hash: ArtifactHash) -> PathBuf {
        self.folder.join(hash.to_string())
    }
}

impl Artifacts for FolderArtifacts {
    fn put(&self, bytes: &[u8]) -> Result<ArtifactHash> {
        let fail = |error: std::io::Error| file_error(WHAT, &error);
        let hash = ArtifactHash(*blake3::hash(bytes).as_bytes());
        let path = self.path(hash);
        if path.exists() && self.get(hash).is_ok() {
            // Another writer may have renamed it a moment ago and not be done.
            sync_folder_of(&path, WHAT)?;
            return Ok(hash);
        }
        // Two writers of the same bytes must not share a half-written file.
        let beside = self.folder.join(format!("{hash}.{:?}.{WRITING}", std::thread::current().id()));
        let mut file = File::create(&beside).map_err(fail)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&beside);
            return Err(fail(error));
        }
        sync_folder_of(&path, WHAT)?;
        Ok(hash)
    }

    fn get(&self, hash: ArtifactHash) -> Result<Arc<[u8]>> {
        let bytes = fs::read(self.path(hash))
            .map_err(|error| StoreError::Unavailable { what: WHAT, detail: format!("{hash}: {error}") })?;
        if blake3::hash(&bytes).as_bytes() != &hash.0 {
            return Err(StoreError::Damaged { what: WHAT, detail: format!("{hash}: the bytes have another hash") });
        }
        Ok(bytes.into())
    }

    fn contains(&self, hash: ArtifactHash) -> Result<bool> {
        Ok(self.path(hash).exists())
    }

    fn remove(&self, hash: ArtifactHash) -> Result<()> {
        match fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file_error(WHAT, &error)),
            _ => Ok(()),
        }
    }

    fn list(&self) -> Result<Vec<ArtifactHash>> {
        let fail = |error: std::io::Error| file_error(WHAT, &error);
        let mut hashes = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            hashes.extend(name.to_string_lossy().parse::<ArtifactHash>());
        }
        hashes.sort_unstable();
        Ok(hashes)
    }
}
