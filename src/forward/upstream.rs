//! The connections to the application: a pool per core, without a lock that two cores share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::body::{Over, RequestBody};
use crate::config::settings::UpstreamTarget;
use crate::platform::Tasks;

/// Connections kept open while idle, per core.
const MAX_IDLE: usize = 128;
/// Longer idle ones are not used again: most servers close theirs after 60 s or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection that was given back and is not ready by then is not used.
const READY: Duration = Duration::from_millis(50);

/// The application, as one core reaches it.
pub struct Upstream {
    target: Target,
    tls: Option<TlsConnector>,
    connect_timeout: Duration,
    response_timeout: Duration,
    idle: Arc<Mutex<Vec<Idle>>>,
    multiplexed: Mutex<Option<http2::SendRequest<RequestBody>>>,
    tasks: Tasks,
}

enum Target {
    Tcp { host: String, port: u16, name: Option<ServerName<'static>>, prior_knowledge: bool },
    Unix(PathBuf),
}

/// A connection that waits for its next request.
pub struct Idle {
    sender: http1::SendRequest<RequestBody>,
    since: Instant,
}

/// A connection that a response body still reads from.
pub enum Lease {
    Exclusive {
        sender: http1::SendRequest<RequestBody>,
        pool: Arc<Mutex<Vec<Idle>>>,
        /// Only when the request was sent to its end, too, is the connection free.
        request: Option<Arc<Over>>,
    },
    /// HTTP/2: nothing to give back.
    Shared,
}

impl Lease {
    /// Returns the connection to its pool.
    pub fn give_back(self) {
        let Self::Exclusive { sender, pool, request } = self else { return };
        if sender.is_closed() || request.is_some_and(|request| !request.is_over()) {
            return;
        }
        let mut idle = pool.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }
}

/// A request that the application did not answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the application cannot be reached at {target}: {reason}")]
    Connect { target: String, reason: String },
    #[error("the application at {target} did not take the connection within {} s", after.as_secs())]
    ConnectTimeout { target: String, after: Duration },
    #[error("the application did not answer within {} s", after.as_secs())]
    ResponseTimeout { after: Duration },
    #[error("the application's TLS certificate or handshake was refused: {0}")]
    Tls(String),
    /// It closed, or what it sent is no HTTP.
    #[error("the application broke off before it answered: {0}")]
    Broken(String),
    /// The client went away or its session ended; nobody waits for the answer.
    #[error("the request broke off: {0}")]
    Request(String),
    #[error("the upstream host name is none: {0}")]
    BadName(String),
}

impl Upstream {
    /// Whether the target can be reached at all, as far as its name tells.
    ///
    /// # Errors
    /// [`UpstreamError::BadName`].
    pub fn check(target: &UpstreamTarget) -> Result<(), UpstreamError> {
        match target {
            UpstreamTarget::Https { host, .. } => server_name(host).map(drop),
            UpstreamTarget::Http { .. } | UpstreamTarget::H2c { .. } | UpstreamTarget::Unix { .. } => Ok(()),
        }
    }

    /// `tls` is needed for an https target; its name was checked.
    #[must_use]
    pub fn new(
        target: &UpstreamTarget,
        tls: Option<Arc<rustls::ClientConfig>>,
        connect_timeout: Duration,
        response_timeout: Duration,
        tasks: Tasks,
    ) -> Self {
        let tcp = |host: &str, port: u16, name, prior_knowledge| Target::Tcp {
            host: host.to_owned(),
            port,
            name,
            prior_knowledge,
        };
        let target = match target {
            UpstreamTarget::Http { host, port } => tcp(host, *port, None, false),
            UpstreamTarget::H2c { host, port } => tcp(host, *port, None, true),
            UpstreamTarget::Https { host, port } => tcp(host, *port, server_name(host).ok(), false),
            UpstreamTarget::Unix { path } => Target::Unix(path.clone()),
        };
        Self {
            target,
            tls: tls.map(TlsConnector::from),
            connect_timeout,
            response_timeout,
            idle: Arc::default(),
            multiplexed: Mutex::new(None),
            tasks,
        }
    }

    /// Sends `request` and waits for the response's head.
    ///
    /// A safe request without a body that meets a connection which the application closed just then is
    /// sent once more, on a fresh one (RFC 9110, 9.2.2).
    pub async fn send(
        &self,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let after = self.response_timeout;
        let over = request.body().over();
        let mut wait = after;
        let mut sending = std::pin::pin!(self.send_unbounded(request));
        loop {
            if let Ok(outcome) = tokio::time::timeout(wait, sending.as_mut()).await {
                return outcome;
            }
            // The application is given its time once it has the whole request: an upload takes as long as it takes,
            // while bytes come (the body has a limit of its own for silence).
            wait = match &over {
                None => Duration::ZERO,
                Some(over) => over.over_for().map_or(after, |since| after.saturating_sub(since)),
            };
            if wait.is_zero() {
                return Err(UpstreamError::ResponseTimeout { after });
            }
        }
    }

    async fn send_unbounded(
        &self,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let Some(mut sender) = self.idle_sender().await else {
            return Box::pin(self.send_fresh(request)).await;
        };
        let again = repeatable(&request);
        let over = request.body().over();
        match sender.try_send_request(request).await {
            Ok(response) => Ok((response, self.lease(sender, over))),
            Err(mut error) => match (error.take_message(), again) {
                (Some(unsent), _) => Box::pin(self.send_fresh(unsent)).await,
                (None, Some(again)) if is_stale(error.error()) => Box::pin(self.send_fresh(again)).await,
                _ => Err(classify(error.error())),
            },
        }
    }

    async fn send_fresh(
        &self,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let over = request.body().over();
        match self.connect().await? {
            Fresh::Http1(mut sender) => match sender.send_request(request).await {
                Ok(response) => Ok((response, self.lease(sender, over))),
                Err(error) => Err(classify(&error)),
            },
            Fresh::Http2(mut sender) => match sender.send_request(absolute(request)).await {
                Ok(response) => Ok((response, Lease::Shared)),
                Err(error) => Err(classify(&error)),
            },
        }
    }

    fn lease(&self, sender: http1::SendRequest<RequestBody>, request: Option<Arc<Over>>) -> Lease {
        Lease::Exclusive { sender, pool: self.idle.clone(), request }
    }

    /// The connection given back last that is still good.
    async fn idle_sender(&self) -> Option<http1::SendRequest<RequestBody>> {
        loop {
            let Idle { mut sender, since } =
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            // Given back at the end of a body: the connection's own task may still have to see that end.
            if since.elapsed() < IDLE_TIMEOUT
                && let Ok(Ok(())) = tokio::time::timeout(READY, sender.ready()).await
            {
                return Some(sender);
            }
        }
    }

    /// Closes what has been idle for too long.
    pub fn prune(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < IDLE_TIMEOUT && !idle.sender.is_closed());
        idle.shrink_to(8);
    }

    async fn connect(&self) -> Result<Fresh, UpstreamError> {
        let shared = self.multiplexed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sender) = shared.filter(|sender| !sender.is_closed()) {
            return Ok(Fresh::Http2(sender));
        }
        match tokio::time::timeout(self.connect_timeout, self.dial()).await {
            Ok(fresh) => fresh,
            Err(_) => Err(UpstreamError::ConnectTimeout { target: self.name(), after: self.connect_timeout }),
        }
    }

    async fn dial(&self) -> Result<Fresh, UpstreamError> {
        let failed =
            |error: std::io::Error| UpstreamError::Connect { target: self.name(), reason: error.to_string() };
        match &self.target {
            Target::Unix(path) => self.http1(UnixStream::connect(path).await.map_err(failed)?).await,
            Target::Tcp { host, port, name, prior_knowledge } => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((bare, *port)).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                match (&self.tls, name) {
                    (None, None) if *prior_knowledge => self.http2(stream).await,
                    (None, None) => self.http1(stream).await,
                    (Some(_), None) | (None, Some(_)) => {
                        Err(UpstreamError::Tls("there is no name or no trust store for it".to_owned()))
                    }
                    (Some(tls), Some(name)) => {
                        let stream = tls
                            .connect(name.clone(), stream)
                            .await
                            .map_err(|error| UpstreamError::Tls(error.to_string()))?;
                        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                            self.http2(stream).await
                        } else {
                            self.http1(stream).await
                        }
                    }
                }
            }
        }
    }

    async fn http1<S>(&self, stream: S) -> Result<Fresh, UpstreamError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| classify(&error))?;
        self.tasks.spawn(async move {
            // How it ended is told to whoever waits on the sender.
            drop(connection.with_upgrades().await);
        });
        Ok(Fresh::Http1(sender))
    }

    async fn http2<S>(&self, stream: S) -> Result<Fresh, UpstreamError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_secs(20)))
            .keep_alive_timeout(Duration::from_secs(10))
            .adaptive_window(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| classify(&error))?;
        self.tasks.spawn(async move { drop(connection.await) });
        *self.multiplexed.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        Ok(Fresh::Http2(sender))
    }

    fn name(&self) -> String {
        match &self.target {
            Target::Tcp { host, port, .. } => format!("{host}:{port}"),
            Target::Unix(path) => path.display().to_string(),
        }
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, UpstreamError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(bare).map_err(|error| UpstreamError::BadName(error.to_string()))
}

enum Fresh {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

/// A copy of a request that may be sent again: safe method, no body.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_safe() || !http_body::Body::is_end_stream(request.body()) {
        return None;
    }
    let mut again = Request::new(RequestBody::empty());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

/// HTTP/2 wants scheme and authority in the URI; `Host` becomes `:authority`.
fn absolute(mut request: Request<RequestBody>) -> Request<RequestBody> {
    let host = request.headers_mut().remove(http::header::HOST);
    let authority = host.and_then(|host| http::uri::Authority::try_from(host.as_bytes()).ok());
    if let Some(authority) = authority {
        let mut parts = request.uri().clone().into_parts();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(authority);
        if let Ok(uri) = http::Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    *request.version_mut() = http::Version::HTTP_2;
    request
}

/// The application closed a kept connection before it read the request.
fn is_stale(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || is_reset(error)
}

fn is_reset(error: &hyper::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(next) = cause {
        if let Some(io) = next.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe);
        }
        cause = next.source();
    }
    false
}

fn classify(error: &hyper::Error) -> UpstreamError {
    use std::error::Error as _;
    let cause = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    if error.is_user() { UpstreamError::Request(cause) } else { UpstreamError::Broken(cause) }
}
