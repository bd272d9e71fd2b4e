//! `Wanted`: what the body of `POST /v1/jobs` asks for.

use std::fmt::Display;
use std::str::FromStr;

use hence::core::{DeadLetterQuery, Filter, Position, Start, Timestamp};
use hence::replay;
use serde_json::{Map, Value};

use crate::gateway::auth::Verb;
use crate::gateway::cloudevents::check_json;
use crate::gateway::problem::{Code, Problem};
use crate::gateway::query::{malformed, time};
use crate::gateway::suggest::did_you_mean;

/// The most a second that a job may be told to act on.
const RATE_MAX: u32 = 100_000;
/// What every kind of job takes.
const MEMBERS: [&str; 5] = ["kind", "filter", "rate", "dryrun", "upto"];
const OF_DISCARD: [&str; 1] = ["reason"];
const OF_REPLAY: [&str; 3] = ["subscription", "from", "to"];
const LETTER_FILTER: [&str; 6] = [
    "subscription",
    "type",
    "key",
    "fingerprint",
    "since",
    "until",
];
const EVENT_FILTER: [&str; 8] = [
    "type",
    "typeprefix",
    "source",
    "subject",
    "key",
    "correlationid",
    "since",
    "until",
];

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Redrive,
    Discard,
    Replay,
    Compare,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Redrive, Self::Discard, Self::Replay, Self::Compare];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Redrive => "redrive",
            Self::Discard => "discard",
            Self::Replay => "replay",
            Self::Compare => "compare",
        }
    }

    /// What a token must allow.
    pub(super) const fn verb(self) -> Verb {
        match self {
            Self::Redrive | Self::Discard => Verb::Redrive,
            Self::Replay | Self::Compare => Verb::Replay,
        }
    }

    /// What happens besides what it is there for.
    pub(super) const fn effect(self) -> Option<&'static str> {
        match self {
            Self::Redrive | Self::Discard => None,
            Self::Replay => {
                Some("the handler is called, and what it does outside of Hence it does again")
            }
            Self::Compare => Some(
                "nothing is published, but this is no sandbox: the handler is called, and what it \
                 does outside of Hence it does again",
            ),
        }
    }

    fn of(members: &Map<String, Value>) -> Result<Self, Problem> {
        let text = text(members, "kind")?.unwrap_or_default();
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            malformed("kind", &text, &format!("is not one of {all}"))
        })
    }

    fn members(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Redrive => &[],
            Self::Discard => &OF_DISCARD,
            Self::Replay | Self::Compare => &OF_REPLAY,
        };
        MEMBERS.iter().chain(own).copied().collect()
    }
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    /// How many a second; without one as fast as it goes.
    pub(super) rate: Option<u32>,
    pub(super) dry_run: bool,
    pub(super) what: What,
}

/// What it is about.
#[derive(Debug)]
pub(super) enum What {
    /// Dead letters, with the reason if they are given up.
    Letters(Box<DeadLetterQuery>, Option<String>),
    /// Events for one handler.
    Events(Box<replay::Wanted>),
}

impl Wanted {
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        check_json(body)?;
        let members: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| Code::MALFORMED.problem(format!("the body: {error}")))?;
        let kind = Kind::of(&members)?;
        check_members(&members, &kind.members(), "")?;
        let rate = match members.get("rate") {
            None | Some(Value::Null) => None,
            Some(value) => Some(rate(value)?),
        };
        let dry_run = match members.get("dryrun") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                let other = other.to_string();
                return Err(malformed("dryrun", &other, "is neither true nor false"));
            }
        };
        let what = match kind {
            Kind::Redrive | Kind::Discard => letters(&members, kind, dry_run)?,
            Kind::Replay | Kind::Compare => events(&members, rate)?,
        };
        Ok(Self {
            kind,
            rate,
            dry_run,
            what,
        })
    }
}

fn rate(value: &Value) -> Result<u32, Problem> {
    let rate = value.as_u64().and_then(|rate| u32::try_from(rate).ok());
    rate.filter(|rate| (1..=RATE_MAX).contains(rate))
        .ok_or_else(|| {
            let reason = format!("is not a whole number between 1 and {RATE_MAX} a second");
            malformed("rate", &value.to_string(), &reason)
        })
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

/// The members of the filter, all of which must be known.
fn filter<'a>(
    members: &'a Map<String, Value>,
    known: &[&str],
) -> Result<Option<&'a Map<String, Value>>, Problem> {
    match members.get("filter") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(filter)) => {
            check_members(filter, known, "/filter")?;
            Ok(Some(filter))
        }
        Some(other) => Err(malformed("filter", &other.to_string(), "is not an object")),
    }
}

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(malformed(name, &other.to_string(), "is not a string")),
    }
}

/// One text, or a list of them.
fn texts(members: &Map<String, Value>, name: &str) -> Result<Vec<String>, Problem> {
    let Some(Value::Array(list)) = members.get(name) else {
        return Ok(text(members, name)?.into_iter().collect());
    };
    let each = list.iter().map(|value| match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(malformed(name, &other.to_string(), "is not a string")),
    });
    each.collect()
}

fn moment(members: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, Problem> {
    let text = text(members, name)?;
    text.map(|text| time(name, &text)).transpose()
}

/// What a dry run answered.
fn upto<T: FromStr<Err: Display>>(members: &Map<String, Value>) -> Result<Option<T>, Problem> {
    let Some(text) = text(members, "upto")? else {
        return Ok(None);
    };
    let place = text.parse();
    place
        .map(Some)
        .map_err(|_| malformed("upto", &text, "is not what a dry run answered"))
}

fn letters(members: &Map<String, Value>, kind: Kind, dry_run: bool) -> Result<What, Problem> {
    let filter = filter(members, &LETTER_FILTER)?.ok_or_else(|| {
        let missing = Code::MALFORMED.problem("'filter' is missing");
        missing.hint("an empty filter, {}, takes every dead letter")
    })?;
    let reason = text(members, "reason")?.unwrap_or_default();
    if kind == Kind::Discard && reason.trim().is_empty() && !dry_run {
        return Err(Code::MALFORMED
            .problem("'reason' is missing")
            .hint("say in a few words why nobody needs these dead letters"));
    }
    let fingerprint = text(filter, "fingerprint")?.map(|text| {
        let print = text.parse();
        print.map_err(|_| malformed("fingerprint", &text, "is not 16 hexadecimal digits"))
    });
    let query = DeadLetterQuery {
        subscription: text(filter, "subscription")?,
        event_type: text(filter, "type")?,
        key: text(filter, "key")?,
        fingerprint: fingerprint.transpose()?,
        since: moment(filter, "since")?,
        until: moment(filter, "until")?,
        // What is on its way again need not be sent; it can be given up all the same.
        redriven: (kind == Kind::Redrive).then_some(false),
        upto: upto(members)?,
        ..DeadLetterQuery::default()
    };
    let discard = (kind == Kind::Discard).then_some(reason);
    Ok(What::Letters(Box::new(query), discard))
}

fn events(members: &Map<String, Value>, rate: Option<u32>) -> Result<What, Problem> {
    let missing = |name: &str, hint: &str| {
        let missing = Code::MALFORMED.problem(format!("'{name}' is missing"));
        missing.hint(hint)
    };
    let mut wanted = replay::Wanted::default();
    wanted.subscription = text(members, "subscription")?
        .ok_or_else(|| missing("subscription", "name the one whose handler gets the events"))?;
    let from = text(members, "from")?.ok_or_else(|| {
        missing(
            "from",
            "a position, a time, or earliest for all that is kept",
        )
    })?;
    wanted.from = match (from.as_str(), from.parse()) {
        ("earliest", _) => Start::Earliest,
        (_, Ok(position)) => Start::Position(position),
        _ => Start::Time(
            time("from", &from)
                .map_err(|_| malformed("from", &from, "is not earliest, a position or a time"))?,
        ),
    };
    let none = Map::new();
    let filter = filter(members, &EVENT_FILTER)?.unwrap_or(&none);
    wanted.filter = Filter {
        types: texts(filter, "type")?,
        type_prefixes: texts(filter, "typeprefix")?,
        source: text(filter, "source")?,
        subject: text(filter, "subject")?,
        key: text(filter, "key")?,
        correlation_id: text(filter, "correlationid")?,
        since: moment(filter, "since")?,
        until: moment(filter, "until")?,
        ..Filter::default()
    };
    wanted.upto = upto(members)?;
    if let Some(to) = text(members, "to")? {
        match to.parse::<Position>() {
            Ok(position) => {
                wanted.upto = Some(wanted.upto.map_or(position, |upto| upto.min(position)));
            }
            Err(_) => {
                let to = time("to", &to)
                    .map_err(|_| malformed("to", &to, "is not a position or a time"))?;
                let until = wanted.filter.until.map_or(to, |until| until.min(to));
                wanted.filter.until = Some(until);
            }
        }
    }
    wanted.rate = rate;
    Ok(What::Events(Box::new(wanted)))
}

#[cfg(test)]
mod tests;
