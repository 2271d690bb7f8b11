//! Outbound HTTP for identity providers and admin APIs: time limits, size limits, no redirects.

use std::time::Duration;

use reqwest::Response;

/// A client that follows no redirect (SECURITY.md 34), trusts the configured roots and gives up in time.
#[derive(Clone)]
pub struct Outbound {
    client: reqwest::Client,
}

/// Establishing a connection takes at most this long (PROVISIONING.md A1).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One call takes at most this long, body included (A1).
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger answers are refused (A4).
pub const MAX_ANSWER: usize = 1024 * 1024;

/// An outbound call that gave nothing to work with.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// Name resolution, connection or TLS failed, or no answer came in time.
    #[error("could not reach {origin}: {reason}")]
    Unreachable {
        origin: String,
        reason: String,
        timed_out: bool,
        /// A connection was there, so the request may have been received and have taken effect.
        connected: bool,
    },
    #[error("the answer of {origin} is larger than {limit} bytes")]
    TooLarge { origin: String, limit: usize },
    /// The client itself could not be built.
    #[error("outbound TLS cannot be set up: {0}")]
    Setup(String),
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: http::StatusCode,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Outbound {
    /// `extra_roots`: PEM certificates trusted beside the platform's own.
    ///
    /// # Errors
    /// Where a certificate cannot be read or the platform has no usable trust store.
    pub fn new(extra_roots: &[u8]) -> Result<Self, OutboundError> {
        Self::within(extra_roots, CONNECT_TIMEOUT, CALL_TIMEOUT)
    }

    /// As [`Outbound::new`], with other limits than [`CONNECT_TIMEOUT`] and [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// As there.
    #[expect(clippy::disallowed_methods, reason = "the one place that builds a client")]
    pub fn within(extra_roots: &[u8], connect: Duration, call: Duration) -> Result<Self, OutboundError> {
        // reqwest asks the process for its cryptography, and panics where nobody said which. Where somebody
        // did, it was this one: there is no other in the build.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(connect)
            .timeout(call)
            .pool_idle_timeout(Duration::from_secs(30))
            .no_proxy()
            .user_agent(concat!("narthex/", env!("CARGO_PKG_VERSION")));
        if !extra_roots.is_empty() {
            let roots = reqwest::Certificate::from_pem_bundle(extra_roots)
                .map_err(|error| OutboundError::Setup(error.to_string()))?;
            builder = builder.tls_certs_merge(roots);
        }
        let client = builder.build().map_err(|error| OutboundError::Setup(error.to_string()))?;
        Ok(Self { client })
    }

    /// Starts a request; finish it with [`Outbound::send`].
    pub fn request(&self, method: http::Method, url: url::Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends and reads the whole answer, whatever its status; at most [`MAX_ANSWER`] bytes.
    ///
    /// # Errors
    /// [`OutboundError`]; URLs appear in it by origin only, since queries may hold secrets.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, OutboundError> {
        self.send_up_to(request, MAX_ANSWER).await
    }

    /// As [`Outbound::send`], with another limit than [`MAX_ANSWER`].
    ///
    /// # Errors
    /// As there.
    pub async fn send_up_to(
        &self,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<Answer, OutboundError> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| OutboundError::Setup(error.without_url().to_string()))?;
        let origin = request.url().origin().ascii_serialization();
        let unreachable = |error: reqwest::Error| OutboundError::Unreachable {
            origin: origin.clone(),
            timed_out: error.is_timeout(),
            connected: !error.is_connect(),
            reason: innermost(&error.without_url()),
        };
        let response = client.execute(request).await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = capped(response, limit).await.map_err(|error| match error {
            Some(error) => unreachable(error),
            None => OutboundError::TooLarge { origin: origin.clone(), limit },
        })?;
        Ok(Answer { status, headers, body })
    }
}

/// TLS for an upstream: the platform's roots and, besides, those of `extra_roots` (PEM); HTTP/2 and HTTP/1.1
/// offered.
///
/// # Errors
/// Where a certificate cannot be read or the platform has no usable trust store.
pub fn client_tls(extra_roots: &[u8]) -> Result<std::sync::Arc<rustls::ClientConfig>, OutboundError> {
    use rustls_pki_types::pem::PemObject as _;
    let setup = |reason: String| OutboundError::Setup(reason);
    let roots = rustls_pki_types::CertificateDer::pem_slice_iter(extra_roots)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| setup(error.to_string()))?;
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, provider.clone())
        .map_err(|error| setup(error.to_string()))?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(std::sync::Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(std::sync::Arc::new(config))
}

async fn capped(mut response: Response, limit: usize) -> Result<Vec<u8>, Option<reqwest::Error>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Some)? {
        if body.len() + chunk.len() > limit {
            return Err(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The cause at the bottom of a chain, which is the one that a person can act on.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
