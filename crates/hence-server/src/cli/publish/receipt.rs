//! Receipts, as the server gives them and as people read them.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::error::Result;
use crate::cli::output::{Form, Output, Style, clean};
use crate::cli::remote::Answer;
use crate::cli::table::counted;

/// Proof that an event is stored.
#[derive(Deserialize)]
struct Receipt {
    id: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    position: Option<String>,
    durability: String,
    #[serde(default)]
    duplicate: bool,
}

/// The answer to a publish that waited.
#[derive(Deserialize)]
struct Handled {
    receipt: Receipt,
    #[serde(default)]
    results: Vec<Settled>,
}

/// What one subscription made of it.
#[derive(Deserialize)]
struct Settled {
    subscription: String,
    outcome: String,
    #[serde(default)]
    attempts: u64,
    #[serde(default)]
    error: Option<String>,
}

/// Prints the receipt; the position to look at next, if it is known.
pub(super) fn tell(out: &mut Output, kind: &str, answer: &Answer) -> Result<Option<String>> {
    let handled: Handled = match answer.read::<Handled>() {
        Ok(handled) => handled,
        Err(_) => Handled {
            receipt: answer.read()?,
            results: Vec::new(),
        },
    };
    let receipt = &handled.receipt;
    match out.form() {
        Form::Json => out.raw(answer.read::<Box<RawValue>>()?.as_ref())?,
        Form::Plain => out.row([
            receipt.position.as_deref().unwrap_or_default(),
            &receipt.durability,
            if receipt.duplicate {
                "duplicate"
            } else {
                "new"
            },
            &receipt.source,
            &receipt.id,
        ])?,
        Form::Human => tell_people(out, kind, &handled)?,
    }
    Ok(receipt.position.clone())
}

fn tell_people(out: &mut Output, kind: &str, handled: &Handled) -> Result<()> {
    let Receipt {
        id,
        position,
        durability,
        duplicate,
        ..
    } = &handled.receipt;
    let verb = match (duplicate, position) {
        (true, _) => "already stored",
        (false, Some(_)) => "stored",
        (false, None) => "accepted",
    };
    let place = position
        .as_ref()
        .map(|p| format!(" at {p}"))
        .unwrap_or_default();
    let name = out.paint(Style::Name, &clean(kind));
    let verb = out.paint(Style::Good, verb);
    out.line(&format!("{verb} {name}{place} ({durability}), id {id}"))?;
    for settled in &handled.results {
        let style = match settled.outcome.as_str() {
            "done" => Style::Good,
            "pending" => Style::Wait,
            _ => Style::Bad,
        };
        let outcome = out.paint(style, &settled.outcome);
        let reason = settled
            .error
            .as_ref()
            .map(|error| format!(": {}", clean(error)))
            .unwrap_or_default();
        let attempts = match settled.attempts {
            0 => String::new(),
            n => format!(" after {}", counted(n, "attempt")),
        };
        out.line(&format!(
            "  {} {outcome}{attempts}{reason}",
            clean(&settled.subscription)
        ))?;
    }
    if handled.results.iter().any(|one| one.outcome == "pending") {
        out.note("time ran out before all were done; they go on");
    }
    Ok(())
}
