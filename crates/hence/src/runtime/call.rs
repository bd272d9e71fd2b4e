//! One call of a handler: begun, limited in time, and told apart by how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hence_core::{Call, Code, Delivery, Undecodable, Unhandled};
use tokio::time::Instant;

use super::settle::Verdict;
use crate::subscription::AnyHandler;

/// A call that has ended, and how.
pub(crate) struct Ended {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) verdict: Verdict,
    pub(crate) ran: Duration,
    /// Deliveries that were with a handler when it began; `None` when no handler was called.
    pub(crate) beside: Option<usize>,
}

/// Calls the handler, for as long as `limit`; `beside` deliveries are with it already.
pub(crate) async fn run(
    handler: Arc<dyn AnyHandler>,
    call: Call,
    deliveries: Vec<Delivery>,
    limit: Duration,
    beside: usize,
) -> Ended {
    let began = Instant::now();
    // The handler is called within the future, so a panic before its first await counts.
    let work = AssertUnwindSafe(async move { handler.call(call).await }).catch_unwind();
    let result = tokio::time::timeout(limit, work).await;
    let ran = began.elapsed();
    let verdict = match result {
        Ok(Ok(Ok(drafts))) => Verdict::Done(drafts),
        Ok(Ok(Err(unhandled))) => unhandled_verdict(unhandled),
        Ok(Err(panic)) => failed(Code::HANDLER_PANICKED.error(panic_text(&*panic))),
        Err(_) => failed(Code::HANDLER_TIMEOUT.error(format!("no answer within {limit:?}"))),
    };
    Ended {
        deliveries,
        verdict,
        ran,
        beside: Some(beside),
    }
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

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
