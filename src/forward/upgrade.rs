//! After `101 Switching Protocols`: bytes both ways until one side, or the session, ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::identify::session::LiveSession;

/// Joins client and application. Ends with either of them, with the session (SECURITY.md 38), or when the
/// process has drained.
pub async fn tunnel(
    client: OnUpgrade,
    upstream: OnUpgrade,
    session: Option<Arc<LiveSession>>,
    stop: CancellationToken,
) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "an upgrade was agreed on but did not happen");
            return;
        }
    };
    let end = session.as_ref().map_or_else(CancellationToken::new, |session| session.end());
    let mut client = Watched { inner: TokioIo::new(client), session };
    let mut upstream = TokioIo::new(upstream);
    tokio::select! {
        () = end.cancelled() => {}
        () = stop.cancelled() => {}
        // Either side may simply go away; there is nobody left to tell.
        _ = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {}
    }
}

/// Counts what the client sends as activity of its session.
struct Watched<S> {
    inner: S,
    session: Option<Arc<LiveSession>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if buffer.filled().len() > before
            && let Some(session) = &self.session
        {
            session.note_activity();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
