//! Encrypted connections. Certificates are always verified; the authority is one that browsers trust, or `ca_file`.

use std::sync::Arc;

use merx_store::{Result, StoreError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::WHAT;
use crate::address::Address;

pub(super) enum Tls {
    Off,
    On(Box<MakeRustlsConnect>),
}

impl Tls {
    /// On, but for `sslmode=disable` and the machine itself.
    pub(super) fn of(address: &Address, config: &mut Config) -> Result<Self> {
        let wanted = match address.option("sslmode") {
            Some("require") => true,
            Some("disable") => false,
            None => !address.is_loopback(),
            Some(other) => {
                let error = address.bad("sslmode", other, "require or disable");
                return Err(StoreError::Unavailable { what: WHAT, detail: error.to_string() });
            }
        };
        config.ssl_mode(if wanted { SslMode::Require } else { SslMode::Disable });
        if !wanted {
            return Ok(Self::Off);
        }
        let unusable = |detail: String| StoreError::Unavailable { what: WHAT, detail };
        let roots = match address.option("ca_file") {
            Some(path) => from_file(path).map_err(|error| unusable(format!("ca_file {path}: {error}")))?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::On(Box::new(MakeRustlsConnect::new(client))))
    }

    /// Connects, and leaves the moving of bytes to the runtime.
    pub(super) async fn connect(&self, config: &Config, handle: &Handle) -> Result<Client, tokio_postgres::Error> {
        match self {
            Self::Off => {
                let (client, connection) = config.connect(NoTls).await?;
                handle.spawn(connection);
                Ok(client)
            }
            Self::On(tls) => {
                let (client, connection) = config.connect((**tls).clone()).await?;
                handle.spawn(connection);
                Ok(client)
            }
        }
    }
}

fn from_file(path: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    for certificate in certificates {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(roots) }
}
