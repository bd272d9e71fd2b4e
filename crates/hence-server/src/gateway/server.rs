//! The listening side: connections, their deadlines, and the drain.
//!
//! `axum::serve` sets no time-out for the head of a request, so the connections are served here.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::Gateway;
use super::limits::{
    HEAD_TIME_MAX, HEADER_BYTES_MAX, HEADERS_MAX, IDLE_TIME_MAX, RESETS_MAX, STALL_TIME_MAX,
    STREAMS_MAX,
};
use super::problem::Code;
use super::router::{handle, router};

/// How long requests that run may take to finish when the server goes down.
pub(crate) const REQUESTS_DRAIN_MAX: Duration = Duration::from_secs(5);
/// Bytes that HTTP/1 reads ahead: twice the headers that are taken, so that one which is a little
/// too large still gets an answer with a reason.
const READ_AHEAD_BYTES: usize = 2 * HEADER_BYTES_MAX;
/// Headers that are read, for the same reason.
const READ_HEADERS: usize = 2 * HEADERS_MAX;
/// How often HTTP/2 asks whether a quiet client is still there, and how long it waits.
const ALIVE_EVERY: Duration = Duration::from_secs(20);
/// How long accepting pauses after an error such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long a connection that is told to go may take.
const GO_MAX: Duration = Duration::from_secs(1);

/// Serves until the gateway drains, then lets requests finish.
pub(crate) async fn serve(gateway: Arc<Gateway>, listeners: Vec<TcpListener>) {
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(gateway.limits.connections));
    let accepting = TaskTracker::new();
    accepting.spawn(super::plan::keep_testing(Arc::clone(&gateway)));
    for listener in listeners {
        let (gateway, room) = (Arc::clone(&gateway), Arc::clone(&room));
        let connections = connections.clone();
        let drain = gateway.drain.clone();
        accepting.spawn(async move {
            let accept = accept(gateway, listener, room, connections);
            drain.run_until_cancelled(accept).await;
        });
    }
    accepting.close();
    accepting.wait().await;
    connections.close();
    if tokio::time::timeout(REQUESTS_DRAIN_MAX, connections.wait())
        .await
        .is_err()
    {
        let open = connections.len();
        tracing::warn!(open, "connections did not end in time");
    }
}

async fn accept(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    room: Arc<Semaphore>,
    connections: TaskTracker,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        match Arc::clone(&room).try_acquire_owned() {
            Ok(room) => {
                connections.spawn(connection(Arc::clone(&gateway), stream, room));
            }
            Err(_) => refuse(&gateway, &stream),
        }
    }
}

/// Answers a connection that is one too many, without keeping anything of it.
fn refuse(gateway: &Gateway, stream: &TcpStream) {
    let limit = gateway.limits.connections;
    let detail = format!("{limit} connections are open (gateway.limits.connections)");
    let body = Code::CONNECTIONS.problem(detail).to_json(None);
    let response = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\n\
         retry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // A fresh socket has room for this; if not, the client sees the connection close.
    let _ = stream.try_write(response.as_bytes());
}

/// What a connection is doing, to tell idle ones.
#[derive(Debug)]
struct Activity {
    began: Instant,
    /// Requests whose response is not out yet.
    open: AtomicUsize,
    /// When the last one ended, in milliseconds since `began`; zero before the first.
    ended: AtomicU64,
    /// Since when the client takes nothing, in the same way; zero while it does.
    stalled: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            open: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
        }
    }

    /// Milliseconds since the connection began, never zero.
    fn now(&self) -> u64 {
        let millis = u64::try_from(self.began.elapsed().as_millis());
        millis.unwrap_or(u64::MAX).max(1)
    }

    /// Notes whether the client took what was written.
    fn wrote<T>(&self, result: &Poll<T>) {
        if result.is_ready() {
            self.stalled.store(0, Relaxed);
        } else if self.stalled.load(Relaxed) == 0 {
            self.stalled.store(self.now(), Relaxed);
        }
    }

    /// Waits until nothing happened for too long.
    async fn idle(&self) {
        loop {
            let stalled = self.stalled.load(Relaxed);
            let most = u64::try_from(STALL_TIME_MAX.as_millis()).unwrap_or(u64::MAX);
            if stalled > 0 && self.now().saturating_sub(stalled) >= most {
                return;
            }
            let ended = self.ended.load(Relaxed);
            let limit = if ended == 0 {
                HEAD_TIME_MAX
            } else {
                IDLE_TIME_MAX
            };
            let deadline = self.began + Duration::from_millis(ended) + limit;
            if self.open.load(Relaxed) > 0 {
                tokio::time::sleep(limit).await;
            } else if Instant::now() >= deadline {
                return;
            } else {
                tokio::time::sleep_until(deadline).await;
            }
        }
    }
}

/// One open request of a connection.
#[derive(Debug)]
struct Open(Arc<Activity>);

impl Open {
    fn of(activity: &Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.store(self.0.now(), Relaxed);
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// The body of a response, which keeps its request open until it is out.
struct OpenBody {
    body: Body,
    _open: Open,
}

impl HttpBody for OpenBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that notes when its client stops taking what is written.
struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        all: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, all);
        self.activity.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn connection(gateway: Arc<Gateway>, stream: TcpStream, _room: OwnedSemaphorePermit) {
    let peer: Option<SocketAddr> = stream.peer_addr().ok();
    // Small answers must not wait for each other.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::new());
    let router = router(&gateway);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let open = Open::of(&activity);
        let (gateway, router) = (Arc::clone(&gateway), router.clone());
        async move {
            let response = handle(&gateway, router, request.map(Body::new)).await;
            let whole = response.map(|body| OpenBody { body, _open: open });
            Ok::<_, Infallible>(whole)
        }
    });
    let builder = builder();
    let watched = Watched {
        stream,
        activity: Arc::clone(&activity),
    };
    let mut serving = pin!(builder.serve_connection(TokioIo::new(watched), service));
    let idle = pin!(activity.idle());
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = idle => None,
        () = gateway.drain.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            let draining = gateway.drain.is_cancelled();
            let most = if draining { REQUESTS_DRAIN_MAX } else { GO_MAX };
            tokio::time::timeout(most, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(?peer, %error, "connection ended");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(READ_HEADERS)
        .max_buf_size(READ_AHEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_header_list_size(u32::try_from(READ_AHEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(ALIVE_EVERY)
        .keep_alive_timeout(ALIVE_EVERY);
    builder
}
