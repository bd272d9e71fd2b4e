//! `Wanted`: what the body of `POST /v1/jobs` asks for.

use std::time::Duration;

use hence::core::{DeadLetterQuery, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::gateway::cloudevents::check_json;
use crate::gateway::problem::{Code, Problem};
use crate::gateway::query::malformed;
use crate::gateway::suggest::did_you_mean;

/// The most dead letters a second that a job may be told to act on.
const RATE_MAX: u32 = 100_000;
const MEMBERS: [&str; 6] = ["kind", "filter", "rate", "dryrun", "upto", "reason"];
const FILTER: [&str; 6] = [
    "subscription",
    "type",
    "key",
    "fingerprint",
    "since",
    "until",
];

/// What a job does with each dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Redrive,
    Discard,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
        }
    }
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) query: DeadLetterQuery,
    /// Dead letters a second; without one as fast as it goes.
    pub(super) rate: Option<u32>,
    pub(super) dry_run: bool,
    pub(super) reason: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    kind: Option<String>,
    filter: Option<Map<String, Value>>,
    rate: Option<u32>,
    dryrun: bool,
    upto: Option<String>,
    reason: Option<String>,
}

impl Wanted {
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        check_json(body)?;
        let malformed_body =
            |error: serde_json::Error| Code::MALFORMED.problem(format!("the body: {error}"));
        let members: Map<String, Value> = serde_json::from_slice(body).map_err(malformed_body)?;
        check_members(&members, &MEMBERS, "")?;
        let body: Body = serde_json::from_value(Value::Object(members)).map_err(malformed_body)?;
        let kind = match body.kind.as_deref() {
            Some("redrive") => Kind::Redrive,
            Some("discard") => Kind::Discard,
            other => {
                let text = other.unwrap_or_default();
                return Err(malformed("kind", text, "is not one of redrive, discard"));
            }
        };
        let Some(filter) = body.filter else {
            return Err(Code::MALFORMED
                .problem("'filter' is missing")
                .hint("an empty filter, {}, takes every dead letter"));
        };
        if let Some(rate) = body.rate.filter(|rate| !(1..=RATE_MAX).contains(rate)) {
            let reason = format!("is not between 1 and {RATE_MAX} a second");
            return Err(malformed("rate", &rate.to_string(), &reason));
        }
        let reason = body.reason.unwrap_or_default();
        if kind == Kind::Discard && reason.trim().is_empty() && !body.dryrun {
            return Err(Code::MALFORMED
                .problem("'reason' is missing")
                .hint("say in a few words why nobody needs these dead letters"));
        }
        let mut query = filter_of(&filter)?;
        // What is on its way again need not be sent; it can be given up all the same.
        query.redriven = (kind == Kind::Redrive).then_some(false);
        query.upto = body
            .upto
            .map(|text| {
                let place = text.parse();
                place.map_err(|_| malformed("upto", &text, "is not what a dry run answered"))
            })
            .transpose()?;
        Ok(Self {
            kind,
            query,
            rate: body.rate,
            dry_run: body.dryrun,
            reason,
        })
    }

    /// How long so many will take at least, as the API writes it.
    pub(super) fn eta(&self, letters: usize) -> Option<String> {
        let rate = self.rate?;
        let seconds = letters as f64 / f64::from(rate);
        let whole = Duration::try_from_secs_f64(seconds).ok()?;
        Some(format!("{}s", whole.as_secs_f64()))
    }
}

fn check_members(members: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), Problem> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let near = did_you_mean(name, known.iter().copied());
            let detail = format!("'{name}' is not a member of this request{near}");
            let problem = Code::UNKNOWN.problem(&detail);
            Err(problem.at(format!("{at}/{name}"), detail))
        }
    }
}

fn filter_of(filter: &Map<String, Value>) -> Result<DeadLetterQuery, Problem> {
    check_members(filter, &FILTER, "/filter")?;
    let text = |name: &str| match filter.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(malformed(name, &other.to_string(), "is not a string")),
    };
    let time = |name: &str| {
        let read = |text: String| -> Result<Timestamp, Problem> {
            crate::gateway::query::time(name, &text)
        };
        text(name)?.map(read).transpose()
    };
    let fingerprint = text("fingerprint")?.map(|text| {
        let print = text.parse();
        print.map_err(|_| malformed("fingerprint", &text, "is not 16 hexadecimal digits"))
    });
    Ok(DeadLetterQuery {
        subscription: text("subscription")?,
        event_type: text("type")?,
        key: text("key")?,
        fingerprint: fingerprint.transpose()?,
        since: time("since")?,
        until: time("until")?,
        ..DeadLetterQuery::default()
    })
}

#[cfg(test)]
mod tests;
