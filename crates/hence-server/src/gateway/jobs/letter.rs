//! `Letters`: a frozen set of dead letters that is sent again, or given up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hence::Bus;
use tokio_util::sync::CancellationToken;

/// Dead letters of one commit.
const CHUNK_LETTERS_MAX: usize = 100;
/// Commits a second of a job that has a rate, if that is high enough.
const CHUNKS_A_SECOND: usize = 10;

/// A frozen set of dead letters, and how many are done.
pub(super) struct Letters {
    pub(super) ids: Vec<String>,
    /// Why they are given up; without a reason they are sent again.
    pub(super) discard: Option<String>,
    pub(super) rate: Option<u32>,
    pub(super) done: AtomicUsize,
}

impl Letters {
    /// Whether it came to the end.
    pub(super) async fn work(&self, bus: &Bus, cancel: &CancellationToken) -> hence::Result<bool> {
        let (size, pause) = self.pace();
        for chunk in self.ids.chunks(size) {
            if cancel.is_cancelled() {
                return Ok(false);
            }
            match &self.discard {
                None => bus.redrive(chunk.to_vec()).await?,
                Some(reason) => bus.discard(chunk, reason).await?,
            }
            let done = self.done.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
            if let Some(pause) = pause
                && done < self.ids.len()
            {
                let pause = pause.mul_f64(chunk.len() as f64);
                tokio::select! {
                    () = cancel.cancelled() => return Ok(false),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
        Ok(true)
    }

    /// How many one commit takes, and the pause for each of them.
    fn pace(&self) -> (usize, Option<Duration>) {
        let Some(rate) = self.rate else {
            return (CHUNK_LETTERS_MAX, None);
        };
        let chunk = usize::try_from(rate).unwrap_or(usize::MAX) / CHUNKS_A_SECOND;
        let pause = Duration::from_secs_f64(1.0 / f64::from(rate));
        (chunk.clamp(1, CHUNK_LETTERS_MAX), Some(pause))
    }
}
