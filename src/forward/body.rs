//! Bodies on their way through: streamed, never whole in memory, tied to their session.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::headers::Firewall;
use super::upstream::Lease;
use crate::identify::session::LiveSession;

/// The body of an answer to the client.
pub enum Body {
    Empty,
    /// A page of ours.
    Whole(Option<Bytes>),
    /// The application's.
    Stream(Stream),
}

impl Body {
    /// A text of ours.
    #[must_use]
    pub fn whole(text: impl Into<Bytes>) -> Self {
        Self::Whole(Some(text.into()))
    }
}

impl Body {
    /// Lets a response go on although its session ends: the answer to the application's own logout.
    pub fn outlive_session(&mut self) {
        if let Self::Stream(stream) = self {
            stream.session = None;
        }
    }
}

/// An application's response body, and what is bound to its end.
pub struct Stream {
    incoming: Incoming,
    /// Goes back to the pool once the body was read to its end; else the connection is closed.
    lease: Option<Lease>,
    session: Option<SessionWatch>,
    firewall: Arc<Firewall>,
}

impl Stream {
    #[must_use]
    pub fn new(
        incoming: Incoming,
        lease: Lease,
        session: Option<Arc<LiveSession>>,
        firewall: Arc<Firewall>,
    ) -> Self {
        Self { incoming, lease: Some(lease), session: session.map(SessionWatch::new), firewall }
    }
}

/// A body that broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the application broke the response off: {0}")]
    Upstream(hyper::Error),
    /// Logout, revocation or expiry (SECURITY.md 38).
    #[error("the session ended while the response was under way")]
    SessionEnded,
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(
                bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))),
            ),
            Self::Stream(stream) => stream.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(stream) => stream.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(stream) => stream.incoming.size_hint(),
        }
    }
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.session.as_mut().is_some_and(|watch| watch.session.has_ended()) {
            self.lease = None;
            return Poll::Ready(Some(Err(BodyError::SessionEnded)));
        }
        let frame = match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Pending => return self.poll_watch(context),
            Poll::Ready(frame) => frame,
        };
        Poll::Ready(match frame {
            None => {
                self.give_back();
                None
            }
            Some(Err(error)) => {
                self.lease = None;
                Some(Err(BodyError::Upstream(error)))
            }
            Some(Ok(frame)) => {
                if self.incoming.is_end_stream() {
                    self.give_back();
                }
                Some(Ok(self.cleaned(frame)))
            }
        })
    }

    /// Only a body that has to wait watches for the end of its session: short ones never pay for it.
    fn poll_watch(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(watch) = &mut self.session else { return Poll::Pending };
        ready!(watch.poll_end(context));
        self.lease = None;
        Poll::Ready(Some(Err(BodyError::SessionEnded)))
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn cleaned(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Ok(mut trailers) => {
                self.firewall.clean_trailers(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }
    }
}

impl Drop for Stream {
    /// A body without content is never polled: its connection is free all the same.
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }
}

/// Wakes a waiting stream when its session ends.
struct SessionWatch {
    session: Arc<LiveSession>,
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl SessionWatch {
    fn new(session: Arc<LiveSession>) -> Self {
        Self { session, end: None }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = self.end.get_or_insert_with(|| Box::pin(self.session.end().cancelled_owned()));
        end.as_mut().poll(context)
    }
}

/// The body of a request on its way to the application.
pub struct RequestBody {
    /// Told when this body is dropped: sent to its end, or given up.
    over: Option<Arc<Over>>,
    /// How long the client may send nothing.
    patience: Option<Pin<Box<tokio::time::Sleep>>>,
    incoming: Option<Incoming>,
    session: Option<Arc<LiveSession>>,
    firewall: Option<Arc<Firewall>>,
}

impl RequestBody {
    #[must_use]
    pub fn new(incoming: Incoming, session: Option<Arc<LiveSession>>, firewall: Arc<Firewall>) -> Self {
        let over = (!incoming.is_end_stream()).then(Arc::default);
        Self { over, patience: None, incoming: Some(incoming), session, firewall: Some(firewall) }
    }

    #[must_use]
    pub fn empty() -> Self {
        Self { over: None, patience: None, incoming: None, session: None, firewall: None }
    }

    /// What tells when the whole of it has been sent; `None` where there is nothing to send.
    #[must_use]
    pub fn over(&self) -> Option<Arc<Over>> {
        self.over.clone()
    }
}

/// Whether a request's body is over.
///
/// SECURITY: an application may answer before it has read the body. Its connection then still belongs to
/// that client's upload, and whoever got it from the pool would wait for a stranger.
#[derive(Debug, Default)]
pub struct Over(OnceLock<Instant>);

impl Over {
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.get().is_some()
    }

    /// How long it has been over.
    #[must_use]
    pub fn over_for(&self) -> Option<Duration> {
        self.0.get().map(Instant::elapsed)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(over) = &self.over {
            let _ = over.0.set(Instant::now());
        }
    }
}

/// A client that sends nothing for this long in the middle of a body is given up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client that broke off, or whose session ended while it was sending.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    #[error("the client broke the request off: {0}")]
    Client(hyper::Error),
    #[error("the session ended while the request was under way")]
    SessionEnded,
    #[error("the client sent nothing for {} s in the middle of the body", PATIENCE.as_secs())]
    Silent,
}

impl From<Infallible> for RequestBodyError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        let frame = match Pin::new(incoming).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let patience = this.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
                ready!(patience.as_mut().poll(context));
                return Poll::Ready(Some(Err(RequestBodyError::Silent)));
            }
        };
        this.patience = None;
        if let Some(session) = &this.session {
            if session.has_ended() {
                return Poll::Ready(Some(Err(RequestBodyError::SessionEnded)));
            }
            session.note_activity();
        }
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(RequestBodyError::Client)?;
            Ok(match (frame.into_trailers(), &this.firewall) {
                (Ok(mut trailers), Some(firewall)) => {
                    firewall.clean_trailers(&mut trailers);
                    Frame::trailers(trailers)
                }
                (Ok(_), None) => Frame::trailers(http::HeaderMap::new()),
                (Err(frame), _) => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
