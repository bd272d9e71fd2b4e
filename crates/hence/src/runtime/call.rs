//! One call of a handler: begun, limited in time, and told apart by how it ended.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::poll_fn;
use hence_core::{
    BoxFuture, Call, Code, Delivery, Effects, Engine, Failure, Position, Skip, Undecodable,
    Unhandled,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::settle::Verdict;
use crate::subscription::AnyHandler;

/// How long a call may keep its thread to itself and still count as brief.
const BRIEF: Duration = Duration::from_micros(50);
/// So many brief calls in a row make a handler that is called where its deliveries are pulled.
const BRIEF_CALLS: u32 = 16;

/// Cancels a call in favour of the delivery at a position.
pub(crate) type Cancel = oneshot::Receiver<Position>;

/// A call that has ended, and how.
pub(crate) struct Ended {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) verdict: Verdict,
    pub(crate) ran: Duration,
    pub(crate) at: Instant,
    /// `None` when no handler was called.
    pub(crate) taken: Option<Taken>,
    /// It ended without having waited for anything.
    pub(crate) at_once: bool,
}

impl Ended {
    /// A call that has just ended where its deliveries were pulled.
    pub(crate) fn here(deliveries: Vec<Delivery>, verdict: Verdict, taken: Taken) -> Self {
        let at = Instant::now();
        Self {
            deliveries,
            verdict,
            ran: at.duration_since(taken.at),
            at,
            taken: Some(taken),
            at_once: true,
        }
    }
}

/// What was so when a call took a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) at: Instant,
    /// Deliveries that were with a handler already.
    pub(crate) beside: usize,
}

impl Taken {
    /// A worker that is taken now, beside no other.
    pub(crate) fn alone() -> Self {
        Self {
            at: Instant::now(),
            beside: 0,
        }
    }
}

/// What a handler is to do, once it has begun.
pub(crate) type Work = BoxFuture<'static, Result<Effects, Unhandled>>;

/// Whether calls are so brief that a task for each would cost more than the call.
///
/// A handler that waits, or that keeps its thread, has tasks of its own from the next call on: it
/// may hold up its subscription once, and never again.
#[derive(Debug, Default)]
pub(crate) struct Brevity(u32);

impl Brevity {
    /// Whether a call may be made where its deliveries were pulled.
    pub(crate) fn is_usual(&self) -> bool {
        self.0 >= BRIEF_CALLS
    }

    /// Learns how a call went.
    pub(crate) fn learn(&mut self, at_once: bool, ran: Duration) {
        self.0 = match at_once && ran <= BRIEF {
            true => (self.0 + 1).min(BRIEF_CALLS),
            false => 0,
        };
    }
}

/// Calls a handler that is usually brief; gives what it has still to do if it waits after all.
///
/// Nobody is woken for it, so whoever goes on with it has to ask it anew.
pub(crate) fn at_once(handler: &dyn AnyHandler, call: Call) -> Result<Verdict, Work> {
    let begin = AssertUnwindSafe(|| {
        let mut work = handler.call(call);
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => Ok(verdict(reply)),
            Poll::Pending => Err(work),
        }
    });
    catch_unwind(begin).unwrap_or_else(|panic| Ok(panicked(&*panic)))
}

/// Calls the handler, for as long as `limit`. With an engine it is given the value of its key, which
/// nobody else changes meanwhile: the lane is busy.
pub(crate) async fn run(
    handler: Arc<dyn AnyHandler>,
    call: Call,
    keyed: Option<Arc<dyn Engine>>,
    deliveries: Vec<Delivery>,
    limit: Duration,
    taken: Taken,
) -> Ended {
    // The handler is called within the future, so a panic before its first await counts.
    let work = Box::pin(async move {
        let call = match keyed {
            None => call,
            Some(engine) => with_value(call, &*engine).await?,
        };
        handler.call(call).await
    });
    go_on(work, deliveries, limit, (taken, Instant::now())).await
}

/// Goes on with a call that `began` at a moment, for as long as `limit` in all.
pub(crate) async fn go_on(
    mut work: Work,
    deliveries: Vec<Delivery>,
    limit: Duration,
    (taken, began): (Taken, Instant),
) -> Ended {
    let mut polls = 0_u32;
    let counted = poll_fn(|context| {
        polls = polls.saturating_add(1);
        let poll = AssertUnwindSafe(|| work.as_mut().poll(context).map(verdict));
        catch_unwind(poll).unwrap_or_else(|panic| Poll::Ready(panicked(&*panic)))
    });
    let result = tokio::time::timeout(limit.saturating_sub(began.elapsed()), counted).await;
    let at = Instant::now();
    // What a handler held may panic when it is given up, which is no word about another attempt.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(work)));
    let verdict = match (result, dropped) {
        (Err(_), _) => failed(Code::HANDLER_TIMEOUT.error(format!("no answer within {limit:?}"))),
        (Ok(_), Err(panic)) => panicked(&*panic),
        (Ok(verdict), Ok(())) => verdict,
    };
    Ended {
        deliveries,
        verdict,
        ran: at.duration_since(began),
        at,
        taken: Some(taken),
        at_once: polls == 1,
    }
}

/// A call in a task of its own, which has an end whatever happens in it: one without would keep its
/// key, and the end of the process, waiting for ever.
pub(crate) async fn guarded(
    call: impl Future<Output = Ended>,
    deliveries: Vec<Delivery>,
    taken: Taken,
) -> Ended {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(ended) => ended,
        Err(panic) => Ended {
            at_once: false,
            ..Ended::here(deliveries, panicked(&*panic), taken)
        },
    }
}

/// Goes on with a call that may be given up.
pub(crate) async fn cancellable(
    call: impl Future<Output = Ended>,
    deliveries: Vec<Delivery>,
    cancel: Cancel,
) -> Ended {
    let began = Instant::now();
    tokio::select! {
        ended = call => ended,
        // Whoever drops the other end cancels nothing.
        Ok(by) = cancel => {
            let at = Instant::now();
            Ended {
                deliveries,
                verdict: Verdict::Skipped {
                    why: Skip::Singleton,
                    by: Some(by),
                },
                ran: at.duration_since(began),
                at,
                taken: None,
                at_once: false,
            }
        }
    }
}

/// The call with the value of its key; as it is when there is no key, which the handler's argument
/// tells.
async fn with_value(call: Call, engine: &dyn Engine) -> Result<Call, Failure> {
    let Some(key) = call.key().map(str::to_owned) else {
        return Ok(call);
    };
    let value = engine.keyed(call.subscription(), &key).await?;
    Ok(call.with_value(value))
}

fn verdict(reply: Result<Effects, Unhandled>) -> Verdict {
    match reply {
        Ok(effects) if effects.is_empty() => Verdict::Done,
        Ok(effects) => Verdict::Follows(Box::new(effects)),
        Err(unhandled) => unhandled_verdict(unhandled),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Verdict {
    failed(Code::HANDLER_PANICKED.error(panic_text(panic)))
}

/// The verdict on an attempt that an error of Hence ended.
pub(crate) fn failed(error: hence_core::Error) -> Verdict {
    Verdict::Failed {
        after: None,
        error: error.to_string(),
    }
}

/// How a call ended whose handler said no, or was not called at all.
fn unhandled_verdict(unhandled: Unhandled) -> Verdict {
    match unhandled {
        Unhandled::Undecodable(Undecodable { position, error }) => Verdict::Undecodable {
            position,
            error: error.to_string(),
        },
        Unhandled::Failed(failure) if failure.is_reject() => Verdict::Rejected {
            error: failure.describe(),
        },
        Unhandled::Failed(failure) => Verdict::Failed {
            after: failure.after(),
            error: failure.describe(),
        },
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
