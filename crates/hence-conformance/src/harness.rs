//! `Harness`: what the author of an engine writes, so that the suite can start and kill it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use hence_core::{BoxFuture, Durability, Engine, Result};

/// How long the suite waits for anything that must happen, unless the harness says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running engine, and the place where it keeps what it stores.
#[derive(Clone)]
pub struct Instance {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Its place, in words of the harness: a URL, say. A restart gets it back.
    pub place: String,
}

impl Instance {
    /// An engine at a place.
    pub fn new(engine: Arc<dyn Engine>, place: impl Into<String>) -> Self {
        let place = place.into();
        Self { engine, place }
    }
}

impl Deref for Instance {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        &*self.engine
    }
}

/// Where an engine has the messages that a subscription did not settle yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backlog {
    /// In memory: after about so many bytes commits wait until something is settled.
    Memory {
        /// The limit that an engine of [`Harness::fresh`] has.
        bytes: usize,
    },
    /// On storage: a subscription that stands still costs no memory, and nobody waits for it.
    Storage,
}

/// Starts and restarts the engine under test.
///
/// The suite drops everything that it got from an engine (deliveries, readers, futures) before it
/// hands the engine over to be restarted.
pub trait Harness: Send + Sync {
    /// The name of the engine in the report.
    fn name(&self) -> &str;

    /// An engine at a place of its own, with nothing in it.
    fn fresh(&self) -> BoxFuture<'_, Result<Instance>>;

    /// Kills the engine, without closing it, and starts it again at its place, with storage that
    /// works again.
    ///
    /// An engine that keeps nothing starts empty; the suite asks only those for their memory that
    /// declare a durability of at least `written`.
    fn restart(&self, killed: Instance) -> BoxFuture<'_, Result<Instance>>;

    /// Closes the engine and starts it again at its place.
    fn restart_clean(&self, running: Instance) -> BoxFuture<'_, Result<Instance>> {
        Box::pin(async move {
            running.close().await;
            self.restart(running).await
        })
    }

    /// Where the engine has what was not settled yet.
    fn backlog(&self) -> Backlog;

    /// Lets every further write to the engine's storage fail; false when it has no storage, or the
    /// harness cannot reach it. Then what depends on it is reported as not covered.
    fn fail_storage(&self, running: &Instance) -> bool {
        let _ = running;
        false
    }

    /// The least durability that survives [`Harness::restart`]: `written` when that kills the
    /// process, `synced` when it cuts the power.
    fn survivor(&self) -> Durability {
        Durability::Written
    }

    /// How long the suite waits for anything that must happen.
    fn patience(&self) -> Duration {
        PATIENCE
    }
}
