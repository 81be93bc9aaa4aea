//! TLS to WeChat, with the root certificates of the system.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

/// The settings of every client in the process; the certificates are read once, at the first call.
///
/// # Errors
/// A provider of cryptography that knows no version of TLS.
pub(super) fn client_config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, rustls::Error>> = OnceLock::new();
    CONFIG.get_or_init(|| trusting(system_roots())).clone()
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let mut config =
        builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The file that `SSL_CERT_FILE` names, else the one where distributions keep theirs, else a folder of them
/// (`SSL_CERT_DIR`).
pub fn system_roots() -> RootCertStore {
    let found = openssl_probe::probe();
    let (file, folder) = match found.cert_file {
        Some(file) => (Some(file), None),
        None => (None, found.cert_dir.into_iter().next()),
    };
    roots(file.as_deref(), folder.as_deref())
}

fn roots(file: Option<&Path>, folder: Option<&Path>) -> RootCertStore {
    let read = rustls_native_certs::load_certs_from_paths(file, folder);
    for error in read.errors {
        log::warn!(error:% = error; "a root certificate could not be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read.certs);
    if roots.is_empty() {
        log::error!(
            "there are no root certificates, so WeChat cannot be reached: install ca-certificates, or name a file in SSL_CERT_FILE"
        );
    }
    roots
}
