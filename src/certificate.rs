//! The certificate that clients meet at `server.public_url`: when it ends. It is asked for as clients do, by
//! name and over the network, so that a certificate which was renewed on the disk and not loaded by nginx is
//! seen too.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::config::PublicUrl;
use crate::metrics::Metrics;

const LOOK_INTERVAL: Duration = Duration::from_secs(3_600);
/// The same after a look that found none.
const RETRY_INTERVAL: Duration = Duration::from_secs(300);
/// Maximum time of one look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a look found no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("no answer in time")]
    Timeout,
    #[error("no host name")]
    Name(#[from] InvalidDnsNameError),
    #[error("not reached, or no TLS there: {0}")]
    Connection(#[from] std::io::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] TlsError),
    #[error("a certificate that cannot be read")]
    Unreadable,
}

/// Tells the metrics once an hour when the certificate ends, from the start on.
pub async fn watch(url: PublicUrl, metrics: Metrics) {
    let mut was_seen = true;
    loop {
        let found = expiry(&url).await;
        metrics.certificate_seen.set(found.is_ok().into());
        match &found {
            Ok(at) => metrics.certificate_expiry_timestamp_seconds.set(*at),
            Err(error) if was_seen => {
                log::warn!(host = url.host.as_str(), port = url.port, reason:% = error; "the certificate at server.public_url cannot be looked at");
            }
            Err(_) => {}
        }
        was_seen = found.is_ok();
        sleep(if was_seen { LOOK_INTERVAL } else { RETRY_INTERVAL }).await;
    }
}

/// The end of the certificate at a host in Unix seconds: that of its chain which ends first.
///
/// # Errors
/// [`CertificateError`].
pub async fn expiry(url: &PublicUrl) -> Result<i64, CertificateError> {
    timeout(LOOK_TIMEOUT, look(url)).await.map_err(|_| CertificateError::Timeout)?
}

async fn look(url: &PublicUrl) -> Result<i64, CertificateError> {
    let name = ServerName::try_from(url.host.clone())?;
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAny(provider)))
        .with_no_client_auth();
    let socket = TcpStream::connect((url.host.as_str(), url.port)).await?;
    let session = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    let chain = session.get_ref().1.peer_certificates().unwrap_or_default();
    chain
        .iter()
        .map(|der| ends(der))
        .min_by_key(|end| end.as_ref().map_or(i64::MIN, |at| *at))
        .unwrap_or(Err(CertificateError::Unreadable))
}

fn ends(der: &CertificateDer<'_>) -> Result<i64, CertificateError> {
    let certificate = Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    i64::try_from(end).map_err(|_| CertificateError::Unreadable)
}

/// Takes any certificate: nothing is told to who shows it, and one that is wrong or has ended has its date,
/// too.
#[derive(Debug)]
struct TakesAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
