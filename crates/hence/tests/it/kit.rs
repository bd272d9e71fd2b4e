//! What the tests share: an event, a recorder, and both engines.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hence::core::{DeadLetter, DeadLetterQuery, Position, Read, Reader};
use hence::{App, Event, Running, Start};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(type = "test.tick", key = key)]
pub(crate) struct Tick {
    pub(crate) key: String,
    pub(crate) number: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event(type = "test.tock", key = key)]
pub(crate) struct Tock {
    pub(crate) key: String,
    pub(crate) number: u64,
}

pub(crate) fn tick(key: &str, number: u64) -> Tick {
    Tick {
        key: key.to_owned(),
        number,
    }
}

/// Remembers what handlers saw, and wakes whoever waits for it.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Calls>);

#[derive(Default)]
struct Calls {
    list: Mutex<Vec<(String, u64)>>,
    changed: Notify,
}

impl Seen {
    pub(crate) fn add(&self, key: &str, number: u64) {
        self.0.list.lock().unwrap().push((key.to_owned(), number));
        self.0.changed.notify_waiters();
    }

    pub(crate) fn all(&self) -> Vec<(String, u64)> {
        self.0.list.lock().unwrap().clone()
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.all().into_iter().map(|(_, number)| number).collect()
    }

    pub(crate) async fn reach(&self, count: usize) {
        limited("what is to be seen", async {
            loop {
                let notified = self.0.changed.notified();
                tokio::pin!(notified);
                notified.as_mut().enable();
                if self.all().len() >= count {
                    break;
                }
                notified.await;
            }
        })
        .await;
    }
}

/// An engine URL, and the directory that it needs while it is used.
pub(crate) struct Place {
    pub(crate) url: String,
    _dir: Option<tempfile::TempDir>,
}

pub(crate) fn memory() -> Place {
    Place {
        url: "memory:".to_owned(),
        _dir: None,
    }
}

pub(crate) fn log() -> Place {
    let dir = tempfile::tempdir().unwrap();
    Place {
        url: format!("log:{}", dir.path().display()),
        _dir: Some(dir),
    }
}

impl Place {
    /// So long where timers are paused, a thousandth where time is real.
    pub(crate) fn seconds(&self, seconds: u32) -> Duration {
        let unit = if self.url == "memory:" { 1_000 } else { 1 };
        Duration::from_millis(unit) * seconds
    }

    pub(crate) async fn start(&self, app: App) -> Running {
        app.start(&self.url).await.unwrap()
    }
}

/// Follows every event from the first on.
pub(crate) async fn follow(running: &Running) -> Box<dyn Reader> {
    let read = Read {
        from: Start::Position(Position(1)),
        follow: true,
        ..Read::default()
    };
    running.read(read).await.unwrap()
}

/// The types of the next `count` events.
pub(crate) async fn types(reader: &mut dyn Reader, count: usize) -> Vec<String> {
    let mut types = Vec::new();
    while types.len() < count {
        for entry in reader.next(count - types.len()).await.unwrap() {
            types.push(entry.message.attributes().event_type().to_owned());
        }
    }
    types
}

/// All dead letters that are there now, of one subscription if one is given, page by page.
pub(crate) async fn letters_of(running: &Running, subscription: Option<&str>) -> Vec<DeadLetter> {
    let mut query = DeadLetterQuery {
        subscription: subscription.map(str::to_owned),
        ..DeadLetterQuery::default()
    };
    let mut all = Vec::new();
    loop {
        let page = running.engine().dead_letters(&query).await.unwrap();
        let Some(last) = page.last() else {
            return all;
        };
        query.after = Some(last.place());
        all.extend(page);
    }
}

/// All dead letters, once there are so many.
pub(crate) async fn letters(running: &Running, count: usize) -> Vec<DeadLetter> {
    let mut all = Vec::new();
    limited("the dead letters", async {
        loop {
            all = letters_of(running, None).await;
            if all.len() == count {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    all
}

/// The longest that a test may take, also on a machine that is busy.
const TEST_MAX: Duration = Duration::from_secs(180);

/// Runs a test, and fails when it waits for something that does not come. The time is real, also
/// where timers are paused.
pub(crate) async fn limited(name: &str, test: impl Future<Output = ()>) {
    let (done, watched) = std::sync::mpsc::channel::<()>();
    let (late, too_late) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        if watched.recv_timeout(TEST_MAX) == Err(RecvTimeoutError::Timeout) {
            let _ = late.send(());
        }
    });
    tokio::select! {
        () = test => drop(done),
        Ok(()) = too_late => panic!("{name} still waits after {TEST_MAX:?}"),
    }
}

/// Waits until something holds, and fails when it never does.
pub(crate) async fn holds(name: &str, mut test: impl FnMut() -> bool) {
    limited(name, async {
        while !test() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Runs a test on both engines.
macro_rules! on_both_engines {
    ($($(#[$attribute:meta])* async fn $name:ident($place:ident: Place) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn test($place: crate::kit::Place) $body

            #[tokio::test]
            async fn memory() {
                crate::kit::limited(stringify!($name), test(crate::kit::memory())).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn log() {
                crate::kit::limited(stringify!($name), test(crate::kit::log())).await;
            }
        })*
    };
}
pub(crate) use on_both_engines;

/// As `on_both_engines`; on `memory:` timers go on as soon as nothing else does. The log waits for
/// its disk, and timers that went on meanwhile would tell nothing.
macro_rules! on_both_engines_paused {
    ($($(#[$attribute:meta])* async fn $name:ident($place:ident: Place) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn test($place: crate::kit::Place) $body

            #[tokio::test(start_paused = true)]
            async fn memory() {
                crate::kit::limited(stringify!($name), test(crate::kit::memory())).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn log() {
                crate::kit::limited(stringify!($name), test(crate::kit::log())).await;
            }
        })*
    };
}
pub(crate) use on_both_engines_paused;
