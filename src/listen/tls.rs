//! TLS on the public listener.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::settings::TlsFiles;

/// Certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{what} {} cannot be read: {reason}; it must be PEM", path.display())]
    Unreadable { what: &'static str, path: std::path::PathBuf, reason: String },
    #[error("the certificate {} and its key do not fit together: {reason}", path.display())]
    Mismatch { path: std::path::PathBuf, reason: String },
}

/// TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1 offered (ALPN, RFC 7301).
pub fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable("the TLS certificate", &files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unreadable("the TLS key", &files.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| TlsError::Mismatch { path: files.certificate.clone(), reason: error.to_string() })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn unreadable(what: &'static str, path: &Path, error: &rustls_pki_types::pem::Error) -> TlsError {
    TlsError::Unreadable { what, path: path.to_owned(), reason: error.to_string() }
}
