//! The certificate that clients meet at `server.public_url`: when it ends. It is asked for as clients do, by
//! name and over the network, so that a certificate which was renewed on the disk and not loaded by nginx is
//! seen too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
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
    #[error("no connection: {0}")]
    Connection(std::io::Error),
    #[error("no TLS there: {0}")]
    Handshake(std::io::Error),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] TlsError),
    #[error("no root certificates: {0}")]
    Roots(#[from] VerifierBuilderError),
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
    let shown = timeout(LOOK_TIMEOUT, connect(url, None)).await.map_err(|_| CertificateError::Timeout)??;
    shown.ends_at.ok_or(CertificateError::Unreadable)
}

/// A TLS connection, and what was shown at its handshake.
pub struct Shown {
    pub session: TlsStream<TcpStream>,
    /// Unix seconds at which the chain ends: the end of that one of it which ends first. `None`: one cannot
    /// be read.
    pub ends_at: Option<i64>,
    /// Why a client with the roots that were given would not trust it.
    pub distrust: Option<String>,
}

/// Connects to a host whatever it shows. `roots` are those of a client, to judge by.
///
/// # Errors
/// [`CertificateError`]: not reached, or no TLS there.
pub async fn connect(url: &PublicUrl, roots: Option<RootCertStore>) -> Result<Shown, CertificateError> {
    let name = ServerName::try_from(url.host.clone())?;
    let observer = Arc::new(Observer::new(roots)?);
    let config = ClientConfig::builder_with_provider(observer.provider.clone());
    let config = config.with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(observer.clone()).with_no_client_auth();
    let socket = TcpStream::connect((url.host.as_str(), url.port)).await;
    let socket = socket.map_err(CertificateError::Connection)?;
    let session = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let session = session.map_err(CertificateError::Handshake)?;
    let chain = session.get_ref().1.peer_certificates().unwrap_or_default();
    let ends: Option<Vec<i64>> = chain.iter().map(ends_at).collect();
    let ends_at = ends.and_then(|ends| ends.into_iter().min());
    let distrust = observer.distrust.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Shown { session, ends_at, distrust })
}

fn ends_at(der: &CertificateDer<'_>) -> Option<i64> {
    let certificate = Certificate::from_der(der).ok()?;
    i64::try_from(certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs()).ok()
}

/// Lets every handshake go on, since nothing is told to who shows a certificate, and notes why a client would
/// not trust it.
#[derive(Debug)]
struct Observer {
    provider: Arc<CryptoProvider>,
    client: Option<Arc<WebPkiServerVerifier>>,
    distrust: Mutex<Option<String>>,
}

impl Observer {
    fn new(roots: Option<RootCertStore>) -> Result<Self, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let client = roots
            .map(|roots| {
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()
            })
            .transpose()?;
        Ok(Self { provider, client, distrust: Mutex::default() })
    }
}

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if let Some(client) = &self.client
            && let Err(error) = client.verify_server_cert(end_entity, intermediates, name, ocsp, now)
        {
            *self.distrust.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
