//! `Hence-Sender` and `Hence-Sequence`: a request that its sender counts is stored once, however
//! late it comes again.

use hence::core::commit::Sequence;
use hyper::HeaderMap;

use super::auth::Caller;
use super::idempotency::{self, Stored};
use super::problem::{Code, Problem};

/// The header with the name of a sender.
const SENDER: &str = "Hence-Sender";
/// The header with the number of its request.
const SEQUENCE: &str = "Hence-Sequence";
/// The longest name by which an engine knows a sender.
const NAME_BYTES_MAX: usize = 255;

/// Which request of a sender this is, if it counts them. Senders of different tokens have nothing to
/// do with each other, whatever their names are.
pub(super) fn asked(caller: &Caller, headers: &HeaderMap) -> Result<Option<Sequence>, Problem> {
    let sender = idempotency::text(headers, SENDER, "\"orders.csv\"")?;
    let number = idempotency::text(headers, SEQUENCE, "17")?;
    let (sender, number) = match (sender, number) {
        (None, None) => return Ok(None),
        (Some(sender), Some(number)) => (sender, number),
        (sender, _) => {
            let (there, missing) = match sender {
                Some(_) => (SENDER, SEQUENCE),
                None => (SEQUENCE, SENDER),
            };
            return Err(malformed(format!("{there} came without {missing}")));
        }
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| digits);
    let Some(number) = number else {
        let most = u64::MAX;
        return Err(malformed(format!(
            "{SEQUENCE} is a whole number from 1 to {most}"
        )));
    };
    let sender = format!(
        "/hence/http/{}/{sender}",
        super::query::encode(&caller.name)
    );
    if sender.len() > NAME_BYTES_MAX {
        return Err(malformed(format!(
            "{SENDER} is too long: with the name of the token, '{sender}', it may have \
             {NAME_BYTES_MAX} bytes"
        )));
    }
    Ok(Some(Sequence { sender, number }))
}

/// Refuses a count where it cannot be kept.
pub(super) fn refuse(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(SENDER) || headers.contains_key(SEQUENCE) {
        let detail = format!("{SEQUENCE} counts what comes again the same, with its own id");
        return Err(malformed(detail).hint("POST CloudEvents to /v1/events"));
    }
    Ok(())
}

/// A number without an event would take a place among the senders, of which none is ever forgotten.
pub(super) fn nothing() -> Problem {
    malformed(format!("{SEQUENCE} came with no event"))
        .hint("leave out a request that has none: the next one with events has this number")
}

/// Why the engine refused a request that is counted.
pub(super) fn refused(error: hence::Error) -> Problem {
    let hint = match error.code() {
        hence::core::Code::DUPLICATE => {
            "a number and an id each name one thing for ever: send other events under the next \
             number and with ids of their own, and give each process a sender of its own"
        }
        hence::core::Code::STATE_FULL => {
            "use the name of a sender that is known: no name is ever forgotten"
        }
        _ => return error.into(),
    };
    Problem::from(error).hint(hint)
}

/// What to say when a number came again and its events are not known any more: they may be others,
/// and then they are stored nowhere.
pub(super) fn doubt(of: &Sequence, stored: &[Stored]) -> Option<String> {
    let unknown = |stored: &&Stored| {
        let receipt = stored.as_ref().ok();
        receipt.is_some_and(|receipt| receipt.duplicate && receipt.position.is_none())
    };
    let (count, all) = (stored.iter().filter(unknown).count(), stored.len());
    let number = of.number;
    (count > 0).then(|| {
        format!(
            "number {number} of this sender came before, and {count} of these {all} events are not \
             known: if they are not the same as then, they are not stored; see /errors/HN4092"
        )
    })
}

pub(super) fn malformed(detail: String) -> Problem {
    Code::MALFORMED
        .problem(detail)
        .hint("write Hence-Sender: \"orders.csv\" and Hence-Sequence: 17")
}
