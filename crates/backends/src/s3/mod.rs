//! `Artifacts` and `Lake` in a bucket of any S3 API.
//!
//! One bucket, a prefix a port: `s3://bucket/prefix?endpoint=https://..&region=..`. Whoever replaces an object that others may
//! replace too does so on the condition that it is still the one that was read (`If-Match`), so the server must know
//! conditional writes; that is tried when a bucket is opened.

mod artifacts;
mod lake;
mod objects;

use std::time::Duration;

pub use artifacts::S3Artifacts;
pub use lake::S3Lake;

use bytes::Bytes;
use futures_util::TryStreamExt;
use merx_store::{Result, StoreError};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig, UpdateVersion, WriteMultipart,
};

use crate::address::Address;
use crate::driver::Driver;

const OPTIONS: [&str; 5] = ["endpoint", "region", "timeout_ms", "versions", "virtual_host"];
/// Objects above this size are sent in parts of it.
const PART_BYTES: usize = 16 << 20;
const PARTS_AT_ONCE: usize = 4;
/// An object that every opening tries to make, and finds made from the second time on.
const PROBE: &str = "merx-check";

/// A prefix of a bucket.
struct Bucket {
    store: AmazonS3,
    prefix: Path,
    shown: String,
    what: &'static str,
    driver: Driver,
}

/// An object's bytes are replaced only where it is still this one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    Absent,
    Tag(Option<String>),
}

impl Bucket {
    /// Options: `endpoint` (AWS), `region` (or `AWS_REGION`), `timeout_ms` (30000), `virtual_host=true` (the bucket is part
    /// of the host's name), `versions=kept` (see [`Self::check`]). The key is `s3://KEY_ID@bucket/..` with its secret as the
    /// password, or the environment's (`AWS_ACCESS_KEY_ID`, web identity, instance).
    fn open(address: &Address, what: &'static str) -> Result<Self> {
        let refused = |detail: String| StoreError::Unavailable { what, detail };
        let fail = |error: crate::AddressError| refused(error.to_string());
        address.only_options(&OPTIONS).map_err(fail)?;
        let timeout = address.number("timeout_ms", 30_000, 100..=3_600_000, "milliseconds from 100").map_err(fail)?;
        // A second port finds the provider that the first has set.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = ClientOptions::new()
            .with_timeout(Duration::from_millis(timeout))
            .with_connect_timeout(Duration::from_secs(5))
            .with_allow_http(address.option("endpoint").is_some_and(|endpoint| endpoint.starts_with("http://")));
        let retry = RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(15), ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&address.hosts()[0])
            .with_client_options(options)
            .with_retry(retry)
            .with_virtual_hosted_style_request(address.option("virtual_host") == Some("true"));
        if let Some(endpoint) = address.option("endpoint") {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = address.option("region") {
            builder = builder.with_region(region);
        }
        let secret = address.password().map_err(fail)?;
        if let (Some(key), Some(secret)) = (address.user(), secret) {
            builder = builder.with_access_key_id(key).with_secret_access_key(secret.reveal());
        }
        let store = builder.build().map_err(|error| refused(format!("{address}: {error}")))?;
        let prefix = Path::parse(address.path()).map_err(|error| refused(format!("{address}: {error}")))?;
        let bucket = Self { store, prefix, shown: address.to_string(), what, driver: Driver::start(what)? };
        bucket.check(address.option("versions") == Some("kept"))?;
        Ok(bucket)
    }

    /// Tries what is needed: listing, conditional writes, reading, removing. A bucket that keeps old versions is refused,
    /// since what is erased would stay; `versions=kept` says that a rule of the bucket removes them in time.
    fn check(&self, keeps_versions: bool) -> Result<()> {
        let refuse = |problem: &str| {
            Err(StoreError::Unavailable { what: self.what, detail: format!("{}: {problem}", self.shown) })
        };
        let probe = self.path(PROBE);
        let mut conditional = false;
        for _ in 0..2 {
            match self.try_put(&probe, b"Merx writes here.\n".to_vec(), &Expected::Absent) {
                Ok(put) if put.version.is_some() && !keeps_versions => {
                    return refuse(
                        "the bucket keeps old versions, so that nothing is ever erased; suspend versioning, or add a rule \
                         that removes old versions in time and write versions=kept",
                    );
                }
                Ok(_) => {}
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => conditional = true,
                Err(Error::NotImplemented { .. }) => break,
                Err(error) => return Err(self.explain(&error)),
            }
        }
        let other = Expected::Tag(Some("\"00000000000000000000000000000000\"".to_owned()));
        let replaced = self.try_put(&probe, b"?".to_vec(), &other);
        if !conditional || !matches!(replaced, Err(Error::Precondition { .. })) {
            return refuse(
                "the server takes no conditional writes (If-None-Match, If-Match); use one that does: AWS, MinIO, \
                 Cloudflare R2, Ceph from Reef on",
            );
        }
        self.get(&probe)?;
        self.list(None)?;
        self.remove(&self.path("merx-check-nothing"))
    }

    fn words(&self) -> String {
        format!("{}: the bucket takes conditional writes", self.shown)
    }

    fn path(&self, name: &str) -> Path {
        // Names are checked by the ports: no slashes but ours.
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// The name below the prefix.
    fn name_of(&self, path: &Path) -> Option<String> {
        let name: Vec<_> = path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        Some(name.join("/"))
    }

    fn get(&self, path: &Path) -> Result<Bytes> {
        Ok(self.find(path)?.ok_or_else(|| self.missing(path))?.0)
    }

    /// Bytes and tag; `None` where there is no such object.
    fn find(&self, path: &Path) -> Result<Option<(Bytes, Expected)>> {
        let reading = async {
            let found = self.store.get(path).await?;
            let tag = Expected::Tag(found.meta.e_tag.clone());
            Ok::<_, Error>((found.bytes().await?, tag))
        };
        match self.driver.wait(reading) {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.explain(&error)),
        }
    }

    fn head(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        match self.driver.wait(self.store.head(path)) {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// Some of an object's bytes; `None` where it is gone or another than the one that was listed.
    fn range(&self, path: &Path, expected: &Expected, range: std::ops::Range<u64>) -> Result<Option<Bytes>> {
        let Expected::Tag(tag) = expected else { return Ok(None) };
        let options = GetOptions::new().with_range(Some(range)).with_if_match(tag.clone());
        let reading = async {
            let found = self.store.get_opts(path, options).await?;
            // Not every server knows `If-Match` when it reads.
            let is_it = found.meta.e_tag == *tag;
            Ok::<_, Error>(is_it.then_some(found.bytes().await?))
        };
        match self.driver.wait(reading) {
            Ok(bytes) => Ok(bytes),
            Err(Error::NotFound { .. } | Error::Precondition { .. }) => Ok(None),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// Writes, whatever was there; large objects in parts.
    fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        let writing = async {
            if bytes.len() <= PART_BYTES {
                return self.store.put(path, bytes.into()).await.map(drop);
            }
            let upload = self.store.put_multipart(path).await?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            for part in bytes.chunks(PART_BYTES) {
                upload.wait_for_capacity(PARTS_AT_ONCE).await?;
                upload.write(part);
            }
            // What is broken off is removed by `finish`, or by the bucket's rule for unfinished uploads.
            upload.finish().await.map(drop)
        };
        self.driver.wait(writing).map_err(|error| self.explain(&error))
    }

    /// Writes where the object is what is expected; whether it was.
    fn replace(&self, path: &Path, bytes: Vec<u8>, expected: &Expected) -> Result<bool> {
        match self.try_put(path, bytes, expected) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.explain(&error)),
        }
    }

    fn try_put(
        &self,
        path: &Path,
        bytes: Vec<u8>,
        expected: &Expected,
    ) -> object_store::Result<object_store::PutResult> {
        let mode = match expected {
            Expected::Absent => PutMode::Create,
            Expected::Tag(tag) => PutMode::Update(UpdateVersion { e_tag: tag.clone(), version: None }),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        self.driver.wait(self.store.put_opts(path, PutPayload::from(bytes), options))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match self.driver.wait(self.store.delete(path)) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// Objects below a folder, in no order.
    fn list(&self, folder: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        let listing = self.store.list(Some(folder.unwrap_or(&self.prefix))).try_collect::<Vec<ObjectMeta>>();
        self.driver.wait(listing).map_err(|error| self.explain(&error))
    }

    fn missing(&self, path: &Path) -> StoreError {
        StoreError::Unavailable { what: self.what, detail: format!("{path}: there is no such object") }
    }

    fn explain(&self, error: &Error) -> StoreError {
        let detail = words(error);
        let remedy = match error {
            Error::Unauthenticated { .. } => "check the key: KEY_ID@ and password_file=.., or AWS_ACCESS_KEY_ID",
            Error::PermissionDenied { .. } => {
                "grant the key s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucket here"
            }
            Error::NotFound { .. } => "make the bucket, or correct its name and region",
            Error::NotImplemented { .. } | Error::NotSupported { .. } => "use a server that does",
            _ if detail.contains("NoSuchBucket") => "make the bucket, or correct its name and region",
            _ => "check endpoint, region and firewall, and that the server runs",
        };
        StoreError::Unavailable { what: self.what, detail: format!("{}: {detail}; {remedy}", self.shown) }
    }
}

/// The error and its causes, each once.
fn words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}
