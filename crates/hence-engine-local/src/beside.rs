//! Work beside the commits, on threads of its own.

use hence_core::error::{Code, Result};
use tokio::sync::oneshot;

/// Runs what reads much from the disk on a thread of its own.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (done, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    // Whoever asked may be gone; then the result is of no use.
    let started = thread.spawn(move || drop(done.send(work())));
    if let Err(error) = started {
        return Err(Code::INTERNAL.caused("no thread could be started", error));
    }
    let lost = |_| Err(Code::INTERNAL.error("a thread ended without a result"));
    result.await.unwrap_or_else(lost)
}
