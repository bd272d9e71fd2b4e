//! To pause a subscription, and to let it go on: meanwhile its events wait, in their order, also over a
//! restart.
//!
//! It lets what has begun end, and begins no more calls. A call has begun when it has its worker: one that
//! waits in a [layer](crate::App::layer), for the value of its key, or for one of the threads of
//! [`blocking`](crate::blocking()) enters its function also after the pause was answered. And what has
//! begun may still fail, run into its time-out and become a dead letter. What was pulled keeps its
//! place, what comes stays with the engine, and other subscriptions do not notice, unless they come
//! [after](crate::HandlerExt::after) it. That it is paused is a value of a key that no event can have; so
//! the engine has to keep values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hence_core::commit::{Change, What};
use hence_core::engine::Feature;
use hence_core::notice::{SubscriptionPaused, SubscriptionResumed};
use hence_core::{Code, Commit, Engine, Result, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::runtime::crash::OWN;
use crate::runtime::settle::notice;
use crate::runtime::standing::{Asked, Halt};

/// How events and explanations tell it from a pause at a limit.
const KIND: &str = "paused-by";

/// Pauses subscriptions of an application that runs; cloning it is cheap.
#[derive(Clone)]
pub struct Pauser {
    engine: Arc<dyn Engine>,
    source: Arc<str>,
    switches: Arc<BTreeMap<String, Arc<Switch>>>,
}

/// Who has paused a subscription, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Since when it is paused.
    pub since: Timestamp,
    /// Who asked for it, in one line.
    pub by: String,
    /// Why, in words; may be empty.
    pub reason: String,
}

/// One subscription.
struct Switch {
    subscription: Arc<str>,
    pump: mpsc::Sender<Asked>,
    state: Mutex<Option<Paused>>,
    /// Who stores a state tells it to the pump before another is stored.
    one: tokio::sync::Mutex<()>,
}

impl Paused {
    fn to_text(&self) -> String {
        format!("{}\n{}\n{}", self.since, self.by, self.reason)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let mut lines = str::from_utf8(text).ok()?.splitn(3, '\n');
        Some(Self {
            since: Timestamp::parse(lines.next()?).ok()?,
            by: lines.next()?.to_owned(),
            reason: lines.next()?.to_owned(),
        })
    }
}

/// As it stands in explanations and events.
impl std::fmt::Display for Paused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { since, by, reason } = self;
        write!(f, "paused by {by} at {since}")?;
        match reason.as_str() {
            "" => Ok(()),
            reason => write!(f, ": {reason}"),
        }
    }
}

impl Pauser {
    pub(crate) fn new(engine: Arc<dyn Engine>, source: &str) -> Self {
        Self {
            engine,
            source: source.into(),
            switches: Arc::default(),
        }
    }

    /// Adds a subscription, and says whether it was paused when the last process ended.
    pub(crate) async fn add(
        &mut self,
        subscription: &Arc<str>,
        pump: mpsc::Sender<Asked>,
    ) -> Result<Option<Paused>> {
        let stored = match self.engine.capability().has(Feature::Keyed) {
            true => self.engine.keyed(subscription, &key()).await?,
            false => None,
        };
        let paused = match &stored {
            Some(text) => Some(Paused::read(text).ok_or_else(|| {
                let detail = format!("what is stored of a pause of '{subscription}' is damaged");
                Code::CORRUPT.error(detail)
            })?),
            None => None,
        };
        let switch = Switch {
            subscription: Arc::clone(subscription),
            pump,
            state: Mutex::new(paused.clone()),
            one: tokio::sync::Mutex::default(),
        };
        let name = subscription.to_string();
        Arc::make_mut(&mut self.switches).insert(name, Arc::new(switch));
        Ok(paused)
    }

    /// Whether a subscription is paused, and by whom.
    #[must_use]
    pub fn paused(&self, subscription: &str) -> Option<Paused> {
        self.switches.get(subscription)?.state()
    }

    /// Pauses a subscription: once this is answered, none of its calls begins; what has
    /// [begun](self) ends. Of one that is paused already nothing changes, and the answer says who did
    /// it.
    ///
    /// # Errors
    /// `HN0211` when this application has no such subscription, `HN0221` when the engine keeps no values,
    /// `HN0222` when the reason is too long for one, or what the engine says to a commit.
    ///
    /// # Cancellation
    /// It goes on to its end.
    pub async fn pause(&self, subscription: &str, by: &str, reason: &str) -> Result<Paused> {
        let paused = Paused {
            since: self.engine.now(),
            by: by.replace('\n', " "),
            reason: reason.to_owned(),
        };
        let (_, now) = self.turn(subscription, To::Paused(paused)).await?;
        now.ok_or_else(|| Code::INTERNAL.error("it was paused and is not"))
    }

    /// Lets a subscription go on, and says what it was; `None` when it was not paused. Who asked for it
    /// stands in the event that tells of it.
    ///
    /// # Errors
    /// As [`Pauser::pause`].
    ///
    /// # Cancellation
    /// It goes on to its end.
    pub async fn resume(&self, subscription: &str, by: &str) -> Result<Option<Paused>> {
        let (was, _) = self.turn(subscription, To::On(by.to_owned())).await?;
        Ok(was)
    }

    /// Brings a subscription to a state, and says what it was and is.
    async fn turn(&self, subscription: &str, to: To) -> Result<Turned> {
        let switch = self.switches.get(subscription).ok_or_else(|| {
            let detail = format!("this application runs no subscription '{subscription}'");
            Code::NOT_FOUND.error(detail)
        })?;
        let capability = self.engine.capability();
        if !capability.has(Feature::Keyed) {
            return Err(capability.lacks(Feature::Keyed));
        }
        let (switch, pauser) = (Arc::clone(switch), self.clone());
        // Dropped half way, the state that is stored would not be the one that holds.
        let work = tokio::spawn(async move { switch.turn(&pauser, to).await });
        let failed = |error| Code::INTERNAL.caused("a subscription was to be paused", error);
        work.await.map_err(failed)?
    }
}

/// What a subscription is brought to.
enum To {
    Paused(Paused),
    /// It goes on, as somebody asked for.
    On(String),
}

/// What a subscription was, and what it is.
type Turned = (Option<Paused>, Option<Paused>);

impl Switch {
    fn state(&self) -> Option<Paused> {
        let state = self.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn turn(&self, pauser: &Pauser, to: To) -> Result<Turned> {
        let _one = self.one.lock().await;
        let was = self.state();
        if was.is_some() == matches!(to, To::Paused(_)) {
            return Ok((was.clone(), was));
        }
        pauser.engine.commit(self.commit(pauser, &to)?).await?;
        let subscription = &*self.subscription;
        let now = match to {
            To::Paused(paused) => {
                tracing::warn!(subscription, %paused, "the subscription pauses");
                Some(paused)
            }
            To::On(by) => {
                tracing::info!(subscription, by, "the subscription goes on");
                None
            }
        };
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = now.clone();
        let (heard, hears) = oneshot::channel();
        let paused = now.clone();
        // A pump that has ended begins nothing either.
        if self
            .pump
            .send(Asked::Halt(Halt { paused, heard }))
            .await
            .is_ok()
        {
            hears.await.unwrap_or_default();
        }
        Ok((was, now))
    }

    /// What stores a state, and tells of it.
    fn commit(&self, pauser: &Pauser, to: &To) -> Result<Commit> {
        let subscription = self.subscription.to_string();
        let (source, name) = (&*pauser.source, &*self.subscription);
        let (message, what) = match to {
            To::Paused(paused) => {
                let event = SubscriptionPaused {
                    subscription,
                    kind: KIND.to_owned(),
                    limit: paused.to_string(),
                };
                let what = What::Write(paused.to_text().into());
                (notice(source, name, &event)?, what)
            }
            To::On(by) => {
                let event = SubscriptionResumed {
                    subscription,
                    was: KIND.to_owned(),
                    by: by.clone(),
                };
                (notice(source, name, &event)?, What::Remove)
            }
        };
        let durability = pauser.engine.capability().strongest();
        let mut commit = Commit::publish(vec![message], durability);
        commit.change.push(Change {
            subscription: Arc::clone(&self.subscription),
            key: key(),
            what,
        });
        Ok(commit)
    }
}

impl std::fmt::Debug for Pauser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pauser")
            .field("subscriptions", &self.switches.keys())
            .finish_non_exhaustive()
    }
}

fn key() -> String {
    format!("{OWN}paused")
}
