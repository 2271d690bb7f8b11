//! Accepts connections on one listener and deals them out to the cores; drains when asked to end. What answers can be
//! replaced while connections stay open.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::platform::Tasks;

/// Header fields of one request; more are refused (SECURITY.md 9).
const MAX_HEADERS: usize = 100;
/// Bytes of one request's head.
const MAX_HEAD: usize = 64 * 1024;
/// Connections open at a time per worker; further ones are closed at once (SECURITY.md 9).
const MAX_CONNECTIONS: usize = 8192;
/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;
/// Bytes of one stream's response that wait for a client who does not read.
const MAX_UNREAD: usize = 64 * 1024;
const TLS_HANDSHAKE: Duration = Duration::from_secs(10);

/// Answers requests on one core.
pub trait Serve: Send + Sync + 'static {
    type Body: HttpBody<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static;

    fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;

    /// Called every few seconds, for whatever a core must let go of.
    fn prune(&self);
}

/// The running cores.
pub struct DataPlane<S> {
    local: SocketAddr,
    stop: CancellationToken,
    workers: Vec<(Arc<Worker<S>>, std::thread::JoinHandle<()>)>,
}

/// Where a data plane listens, for as long as it lives.
pub struct Listening {
    pub listener: std::net::TcpListener,
    pub workers: usize,
    pub manners: Manners,
}

/// How connections are treated; can be replaced.
#[derive(Clone)]
pub struct Manners {
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long the first head of a connection may take.
    pub header_read: Duration,
    /// How long a connection may be without a request: with HTTP/1 to the end of the next head, with HTTP/2 up to twice
    /// of it.
    pub keep_alive: Duration,
    /// How long requests in flight may take once the plane was asked to stop.
    pub drain: Duration,
}

/// The data plane could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("the listener cannot be used: {0}")]
    Listener(std::io::Error),
    #[error("a worker thread cannot be started: {0}")]
    Thread(std::io::Error),
}

struct Lane {
    open: Arc<AtomicUsize>,
    sockets: mpsc::UnboundedSender<(std::net::TcpStream, SocketAddr)>,
}

impl<S: Serve> DataPlane<S> {
    /// Starts one thread with a runtime of its own per worker, and the acceptor on `cold`. `core` makes what
    /// answers, once per worker; its tasks run on that worker.
    pub fn start(
        listening: Listening,
        cold: &Tasks,
        mut core: impl FnMut(Tasks) -> Arc<S>,
    ) -> Result<Self, ListenError> {
        let local = listening.listener.local_addr().map_err(ListenError::Listener)?;
        listening.listener.set_nonblocking(true).map_err(ListenError::Listener)?;
        let stop = CancellationToken::new();
        let (mut lanes, mut workers) = (Vec::new(), Vec::new());
        for number in 0..listening.workers.max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(ListenError::Thread)?;
            let tasks = Tasks::on(runtime.handle().clone());
            let worker = Arc::new(Worker {
                serving: ArcSwap::from_pointee(Serving::new(core(tasks.clone()), listening.manners.clone())),
                tasks,
                open: Arc::default(),
                // Its own: asking it takes a lock, and cores share none on the way of a request.
                stop: stop.child_token(),
                connections: TaskTracker::new(),
            });
            let (sockets, dealt) = mpsc::unbounded_channel();
            lanes.push(Lane { open: worker.open.clone(), sockets });
            let running = worker.clone();
            let thread = std::thread::Builder::new()
                .name(format!("narthex-core-{number}"))
                .spawn(move || runtime.block_on(running.run(dealt)))
                .map_err(ListenError::Thread)?;
            workers.push((worker, thread));
        }
        cold.spawn(accept(listening.listener, lanes, stop.clone()));
        Ok(Self { local, stop, workers })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// From now on each request, those on open connections too, is answered by what `core` makes, and each new
    /// connection is treated by `manners`. Requests in flight end with what they began with.
    ///
    /// Returns what answered before, which is gone once the last of these has ended.
    pub fn replace(&self, manners: &Manners, mut core: impl FnMut(Tasks) -> Arc<S>) -> Vec<Weak<S>> {
        let replace = |(worker, _): &(Arc<Worker<S>>, _)| {
            let serving = Serving::new(core(worker.tasks.clone()), manners.clone());
            Arc::downgrade(&worker.serving.swap(Arc::new(serving)).core)
        };
        self.workers.iter().map(replace).collect()
    }

    /// Stops accepting, lets requests in flight end within the drain time, and waits for that.
    pub async fn shut_down(self) {
        self.stop.cancel();
        let joined = tokio::task::spawn_blocking(move || {
            for (_, thread) in self.workers {
                if thread.join().is_err() {
                    tracing::error!("a worker thread ended by a panic");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("the wait for the worker threads was cut short");
        }
    }
}

/// Accepts and deals each socket to the core with the fewest.
async fn accept(listener: std::net::TcpListener, lanes: Vec<Lane>, stop: CancellationToken) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the listener cannot be used");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok(socket) => {
                let Some(lane) = lanes.iter().min_by_key(|lane| lane.open.load(Ordering::Relaxed)) else {
                    return;
                };
                if lane.open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
                    tracing::warn!(%MAX_CONNECTIONS, "a connection was closed: every core has its fill");
                    continue;
                }
                lane.open.fetch_add(1, Ordering::Relaxed);
                if lane.sockets.send(socket).is_err() {
                    tracing::error!("a worker thread is gone; its connections are dropped");
                    lane.open.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Err(error) => {
                // Out of file descriptors, as a rule: wait for some to be closed instead of spinning.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// What answers now, and how.
struct Serving<S> {
    core: Arc<S>,
    tls: Option<TlsAcceptor>,
    manners: Manners,
}

impl<S> Serving<S> {
    fn new(core: Arc<S>, manners: Manners) -> Self {
        Self { core, tls: manners.tls.clone().map(TlsAcceptor::from), manners }
    }
}

struct Worker<S> {
    serving: ArcSwap<Serving<S>>,
    /// On this worker's thread.
    tasks: Tasks,
    open: Arc<AtomicUsize>,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl<S: Serve> Worker<S> {
    async fn run(self: Arc<Self>, mut dealt: mpsc::UnboundedReceiver<(std::net::TcpStream, SocketAddr)>) {
        let mut prune = tokio::time::interval(Duration::from_secs(5));
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = prune.tick() => self.serving.load().core.prune(),
                socket = dealt.recv() => {
                    let Some((stream, peer)) = socket else { break };
                    self.connections.spawn(self.clone().connection(stream, peer));
                }
            }
        }
        self.connections.close();
        let drain = self.serving.load().manners.drain;
        if tokio::time::timeout(drain, self.connections.wait()).await.is_err() {
            tracing::warn!(seconds = drain.as_secs(), "connections were cut off after the drain time");
        }
    }

    async fn connection(self: Arc<Self>, stream: std::net::TcpStream, peer: SocketAddr) {
        let open = self.open.clone();
        if let Err(error) = self.serve_stream(stream, peer).await {
            tracing::debug!(%error, %peer, "a connection ended with an error");
        }
        open.fetch_sub(1, Ordering::Relaxed);
    }

    async fn serve_stream(
        self: Arc<Self>,
        stream: std::net::TcpStream,
        peer: SocketAddr,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        let serving = self.serving.load_full();
        let (header_read, keep_alive) = (serving.manners.header_read, serving.manners.keep_alive);
        let Some(tls) = serving.tls.clone() else {
            // An idle connection keeps nothing of what was replaced.
            drop(serving);
            return if tokio::time::timeout(header_read, begins_http2(&stream)).await?? {
                self.http2(stream, peer.ip(), header_read, keep_alive).await
            } else {
                self.http1(stream, peer.ip(), header_read, keep_alive).await
            };
        };
        drop(serving);
        let stream = tokio::time::timeout(TLS_HANDSHAKE, tls.accept(stream)).await??;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.http2(stream, peer.ip(), header_read, keep_alive).await
        } else {
            self.http1(stream, peer.ip(), header_read, keep_alive).await
        }
    }

    async fn http1<I>(
        self: Arc<Self>,
        stream: I,
        peer: IpAddr,
        header_read: Duration,
        keep_alive: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (worker, asked) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let began = asked.clone();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(keep_alive)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(move |request| {
                    began.store(true, Ordering::Relaxed);
                    let answer = worker.serving.load().core.clone().serve(request, peer);
                    async move { Ok::<_, std::convert::Infallible>(answer.await) }
                }),
            )
            .with_upgrades();
        let finish = http1::UpgradeableConnection::graceful_shutdown;
        let served = until_stopped(connection, self.stop.cancelled(), finish);
        match once_begun(served, &asked, header_read).await {
            Some(ended) => Ok(ended?),
            None => Err("no request came in time".into()),
        }
    }

    /// SECURITY: invariant 7. Rapid reset (CVE-2023-44487), CONTINUATION flood (CVE-2024-27316), settings
    /// and header-list floods meet bounds; and a connection that asks for nothing does not keep its slot. One that does
    /// not read what it asked for does, as with HTTP/1.
    async fn http2<I>(
        self: Arc<Self>,
        stream: I,
        peer: IpAddr,
        header_read: Duration,
        keep_alive: Duration,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (worker, requests) = (self.clone(), Arc::new(Requests::default()));
        let (asked, counted) = (Arc::new(AtomicBool::new(false)), requests.clone());
        let began = asked.clone();
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(128)
            .max_send_buf_size(MAX_UNREAD)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .serve_connection(
                TokioIo::new(stream),
                service_fn(move |request| {
                    began.store(true, Ordering::Relaxed);
                    let answer = worker.serving.load().core.clone().serve(request, peer);
                    let under_way = counted.clone().begin();
                    async move {
                        let answer = answer.await;
                        drop(under_way);
                        Ok::<_, std::convert::Infallible>(answer)
                    }
                }),
            );
        let stopped = async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = requests.are_none_for(keep_alive) => {}
            }
        };
        let served = until_stopped(connection, stopped, http2::Connection::graceful_shutdown);
        // hyper waits for the preface without end, and asks for no pong before it.
        match once_begun(served, &asked, header_read).await {
            Some(ended) => Ok(ended?),
            None => Err("no request came in time".into()),
        }
    }
}

/// The requests of one HTTP/2 connection.
#[derive(Debug, Default)]
struct Requests {
    begun: AtomicUsize,
    /// Whose response has not begun yet. One whose body still comes goes on beyond the connection's end for others
    /// (RFC 9113, 6.8).
    under_way: AtomicUsize,
}

impl Requests {
    fn begin(self: Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    /// Returns once there was none for `after`.
    async fn are_none_for(&self, after: Duration) {
        let mut look = tokio::time::interval(after);
        // How many had begun by a look at which none was under way.
        let mut before = None;
        loop {
            look.tick().await;
            let (begun, under_way) =
                (self.begun.load(Ordering::Relaxed), self.under_way.load(Ordering::Relaxed));
            if under_way == 0 && before == Some(begun) {
                return;
            }
            before = (under_way == 0).then_some(begun);
        }
    }
}

/// One of them, until it is dropped.
struct UnderWay(Arc<Requests>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a connection; once `stopped` is over, tells it to finish what it has and take no more.
///
/// `stopped` is polled before the connection, each time that this is: where it waits for one flag, a request pays for
/// reading it.
async fn until_stopped<C: Future>(
    connection: C,
    stopped: impl Future<Output = ()>,
    finish: impl Fn(Pin<&mut C>),
) -> C::Output {
    let mut connection = std::pin::pin!(connection);
    let mut stopped = std::pin::pin!(stopped);
    let mut asked = false;
    std::future::poll_fn(move |context| {
        if !asked && stopped.as_mut().poll(context).is_ready() {
            asked = true;
            finish(connection.as_mut());
        }
        match connection.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs a connection that must have `begun` within `limit`; `None`: it has not.
///
/// SECURITY: invariant 7. hyper knows one time for the first head and for every further one, and that of a connection
/// that is kept is longer than a stranger gets to say what it wants.
async fn once_begun<C: Future>(connection: C, begun: &AtomicBool, limit: Duration) -> Option<C::Output> {
    let mut connection = std::pin::pin!(connection);
    let mut limit = Some(Box::pin(tokio::time::sleep(limit)));
    std::future::poll_fn(move |context| {
        if let Poll::Ready(output) = connection.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if limit.is_some() && begun.load(Ordering::Relaxed) {
            limit = None;
        }
        match &mut limit {
            Some(over) => over.as_mut().poll(context).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// Whether the client speaks HTTP/2 with prior knowledge (RFC 9113, 3.4): the preface begins with `PRI`,
/// which is no HTTP/1 method.
async fn begins_http2(stream: &TcpStream) -> std::io::Result<bool> {
    const PREFACE: &[u8] = b"PRI";
    let mut pause = None;
    loop {
        let mut first = [0; PREFACE.len()];
        let seen = stream.peek(&mut first).await?;
        let first = first.get(..seen).unwrap_or_default();
        if first.len() == PREFACE.len() || !PREFACE.starts_with(first) || first.is_empty() {
            return Ok(first == PREFACE);
        }
        pause.get_or_insert_with(|| tokio::time::interval(Duration::from_millis(50))).tick().await;
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::Empty;
    use tokio::sync::Semaphore;

    use super::*;

    const IDLE: Duration = Duration::from_secs(2);
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Answers as often as it is allowed to.
    struct Answering(Semaphore);

    impl Serve for Answering {
        type Body = Empty<Bytes>;

        async fn serve(self: Arc<Self>, _: Request<Incoming>, _: IpAddr) -> Response<Self::Body> {
            self.0.acquire().await.unwrap().forget();
            Response::new(Empty::new())
        }

        fn prune(&self) {}
    }

    #[tokio::test]
    async fn invariant_7_who_only_says_that_it_speaks_http2_is_waited_for_as_long_as_others() {
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let answering = Arc::new(Answering(Semaphore::new(1)));
        let listening = Listening {
            listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
            workers: 1,
            manners: Manners { tls: None, header_read: IDLE, keep_alive: PATIENCE * 60, drain: PATIENCE },
        };
        let plane = DataPlane::start(listening, &tasks, |_| answering.clone()).unwrap();
        // Without its preface (RFC 9113, 3.4), and with it but without a request.
        for sent in [&b"PRI"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
            let mut stream = TcpStream::connect(plane.local_addr()).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, sent).await.unwrap();
            let mut said = Vec::new();
            let reading = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said);
            // Closed, or reset.
            let _ = tokio::time::timeout(PATIENCE, reading).await.expect("it keeps its slot");
        }
        plane.shut_down().await;
    }

    #[tokio::test]
    async fn invariant_7_an_http2_connection_without_requests_does_not_keep_its_slot() {
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let answering = Arc::new(Answering(Semaphore::new(0)));
        let listening = Listening {
            listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
            workers: 1,
            manners: Manners { tls: None, header_read: PATIENCE, keep_alive: IDLE, drain: PATIENCE },
        };
        let plane = DataPlane::start(listening, &tasks, |_| answering.clone()).unwrap();
        let stream = TcpStream::connect(plane.local_addr()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tasks.spawn(connection);
        let mut ask =
            || sender.send_request(Request::get("http://app.test/").body(Empty::<Bytes>::new()).unwrap());

        // One that waits for its answer keeps the connection open for others.
        let slow = ask();
        tokio::time::sleep(IDLE * 3).await;
        answering.0.add_permits(2);
        assert_eq!(slow.await.unwrap().status(), StatusCode::OK);
        let answered = std::time::Instant::now();
        assert_eq!(ask().await.unwrap().status(), StatusCode::OK);

        // Pings are answered meanwhile, as every client's library does; still it ends, in an orderly way.
        let ended =
            tokio::time::timeout(PATIENCE, connection).await.expect("the connection goes on for ever");
        ended.unwrap().unwrap();
        assert!(answered.elapsed() > IDLE / 2, "{:?}", answered.elapsed());
        plane.shut_down().await;
    }
}
