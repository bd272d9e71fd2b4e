//! The configuration of the server: one TOML file, under the environment, under flags.
//!
//! Every key does something today. All errors come in one run, each with its place.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hence::{App, Durability};
use hence_engine_local::Retention;

mod issue;
mod reader;
mod subscription;
pub(crate) mod value;

#[cfg(test)]
mod tests;

pub(crate) use issue::Invalid;
use issue::Issue;
use reader::{Place, Plain, Reader, Table};
use subscription::{Numbers, subscription};

use crate::gateway::auth::{Token, Verb};
use crate::gateway::limits::{EVENT_BYTES_FLOOR, Limits};
use crate::gateway::listen::Listen;
use crate::gateway::suggest::did_you_mean;

/// How long an `Idempotency-Key` is remembered, unless `gateway.dedup` says otherwise.
const DEDUP: Duration = Duration::from_secs(24 * 60 * 60);
/// The prefix of the hash of a token.
const SHA256: &str = "sha256:";
/// The engines that are built in, by the scheme of their URL.
const ENGINES: [&str; 2] = ["memory", "log"];

/// Everything that can be configured.
#[derive(Debug)]
pub(crate) struct Config {
    /// `engine`: the URL of what carries messages.
    pub(crate) engine: String,
    /// `durability`: what publishing waits for, unless it is the strongest level of the engine.
    pub(crate) durability: Option<Durability>,
    /// `gateway.listen`.
    pub(crate) listen: Listen,
    /// `gateway.dedup`: how long an `Idempotency-Key` is remembered.
    pub(crate) dedup: Duration,
    /// `gateway.hosts`: further names of this server.
    pub(crate) hosts: Vec<String>,
    /// `gateway.origins`: pages elsewhere that may call.
    pub(crate) origins: Vec<String>,
    /// `[gateway.limits]`.
    pub(crate) limits: Limits,
    /// `[[token]]`.
    pub(crate) tokens: Vec<Token>,
    /// `[topic.events]`: how long events are kept.
    pub(crate) retention: Retention,
    /// `[demo]`.
    pub(crate) demo: Demo,
    subscriptions: Vec<(String, Numbers)>,
}

/// `[demo]`: the bundled application.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demo {
    /// `orders`: whether it runs.
    pub(crate) orders: bool,
    /// `rate`: orders a second that it places by itself.
    pub(crate) rate: f64,
}

/// What a command expects of a configuration.
pub(crate) struct Expected<'a> {
    /// The engine, when the file names none.
    pub(crate) engine: &'a str,
    /// Whether the bundled application runs, when the file does not say.
    pub(crate) orders: bool,
    /// Whether there must be a token.
    pub(crate) token: bool,
    /// The subscriptions that code defines, once it is known whether the demo runs.
    pub(crate) subscriptions: &'a dyn Fn(bool) -> Vec<String>,
}

/// Reads the configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    expected: &Expected<'_>,
) -> Result<Config, Invalid> {
    let text = match file {
        None => String::new(),
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            let place = file.display().to_string();
            Invalid(vec![Issue::of(&place, format!("cannot be read: {error}"))])
        })?,
    };
    let (mut reader, root) = Reader::new(file, &text, variables);
    let config = read(&mut reader, root, expected);
    let issues = reader.finish();
    if issues.is_empty() {
        Ok(config)
    } else {
        Err(Invalid(issues))
    }
}

fn read<'a>(reader: &mut Reader<'a>, mut root: Table<'a>, expected: &Expected<'_>) -> Config {
    let engine = reader.read(&mut root, "engine", |plain| plain.parsed(engine));
    let durability = reader.read(&mut root, "durability", |plain| {
        let levels = [
            Durability::Accepted,
            Durability::Written,
            Durability::Synced,
        ];
        plain.one_of(&levels.map(|level| (level.as_str(), level)))
    });
    let mut gateway = reader.table(&mut root, "gateway");
    let listen = reader.read(&mut gateway, "listen", |plain| plain.parsed(str::parse));
    let dedup = reader.read(&mut gateway, "dedup", |plain| plain.parsed(value::duration));
    let hosts = names(reader.texts(&mut gateway, "hosts"));
    let origins = names(reader.texts(&mut gateway, "origins"));
    let mut table = reader.table(&mut gateway, "limits");
    let limits = limits(reader, &mut table);
    reader.close(table);
    reader.close(gateway);

    let retention = retention(reader, &mut root);
    let mut table = reader.table(&mut root, "demo");
    let orders = reader.read(&mut table, "orders", Plain::flag);
    let rate = reader.read(&mut table, "rate", Plain::number);
    let orders = orders.unwrap_or(expected.orders);
    reader.close(table);

    let known = (expected.subscriptions)(orders);
    let mut subscriptions: Vec<(String, Numbers)> = Vec::new();
    let mut first = BTreeMap::new();
    for (place, mut table) in reader.tables(&mut root, "subscription") {
        if let Some(subscription) = subscription(reader, &place, &mut table, &known) {
            reader.once(&mut first, &subscription.0, &place);
            subscriptions.push(subscription);
        }
        reader.close(table);
    }
    let mut tokens: Vec<Token> = Vec::new();
    let mut first = BTreeMap::new();
    for (place, mut table) in reader.tables(&mut root, "token") {
        if let Some(token) = token(reader, &place, &mut table) {
            reader.once(&mut first, token.name(), &place);
            tokens.push(token);
        }
        reader.close(table);
    }
    if expected.token && tokens.is_empty() {
        let message = "`hence serve` needs a [[token]] with name, hash or secret, and allow";
        reader.issue(&Place::File(0..0), message);
    }
    reader.close(root);
    Config {
        engine: engine.unwrap_or_else(|| expected.engine.to_owned()),
        durability,
        listen: listen.unwrap_or_default(),
        dedup: dedup.unwrap_or(DEDUP),
        hosts,
        origins,
        limits,
        tokens,
        retention,
        demo: Demo {
            orders,
            rate: rate.unwrap_or(0.0),
        },
        subscriptions,
    }
}

/// `[topic.events]`, the one topic that there is.
fn retention<'a>(reader: &mut Reader<'a>, root: &mut Table<'a>) -> Retention {
    let mut topics = reader.table(root, "topic");
    let mut events = reader.table(&mut topics, "events");
    let mut table = reader.table(&mut events, "retention");
    let settled = reader.read(&mut table, "settled", Plain::flag);
    let or_settled = |place: &str| {
        format!("'{place}' says nothing beside 'settled', which lets go of all that it would")
    };
    let mut limited = |name, read: &dyn Fn(&str) -> Result<u64, String>| {
        reader.read(&mut table, name, |plain| match plain.parsed(read)? {
            _ if settled == Some(true) => Err(or_settled(name)),
            0 => Err("must be more than nothing".to_owned()),
            limit => Ok(limit),
        })
    };
    let age = limited("age", &|text| {
        let age = value::duration(text)?;
        Ok(u64::try_from(age.as_micros()).unwrap_or(u64::MAX))
    });
    let bytes = limited("size", &|text| Ok(value::size(text)? as u64));
    reader.close(table);
    reader.close(events);
    reader.close(topics);
    Retention {
        age: age.map(Duration::from_micros),
        bytes,
        settled: settled.unwrap_or(false),
    }
}

fn engine(url: &str) -> Result<String, String> {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    if ENGINES.contains(&scheme) && url.contains(':') {
        return Ok(url.to_owned());
    }
    let near = did_you_mean(scheme, ENGINES);
    Err(format!(
        "is not an engine: there are memory: and log:DIR{near}"
    ))
}

fn names(texts: Option<Vec<(String, Place)>>) -> Vec<String> {
    let texts = texts.unwrap_or_default();
    texts.into_iter().map(|(text, _)| text).collect()
}

fn limits<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Limits {
    let default = Limits::default();
    let size = |plain: &Plain| plain.parsed(value::size);
    let event = reader.read(table, "event", |plain| {
        let bytes = size(plain)?;
        if bytes < EVENT_BYTES_FLOOR {
            return Err("is below 64KiB, which every CloudEvents intermediary must take".into());
        }
        Ok(bytes)
    });
    let limits = Limits {
        event: event.unwrap_or(default.event),
        body: reader.read(table, "body", size).unwrap_or(default.body),
        batch: reader
            .read(table, "batch", |p| p.count(1))
            .unwrap_or(default.batch),
        connections: reader
            .read(table, "connections", |plain| plain.count(1))
            .unwrap_or(default.connections),
        wait: reader
            .read(table, "wait", |plain| plain.parsed(value::duration))
            .unwrap_or(default.wait),
        idempotency: reader
            .read(table, "idempotency", |plain| plain.count(1))
            .unwrap_or(default.idempotency),
    };
    Limits {
        // A body that could not hold one event would make the other limit a lie.
        body: limits.body.max(limits.event),
        ..limits
    }
}

fn token<'a>(reader: &mut Reader<'a>, place: &Place, table: &mut Table<'a>) -> Option<Token> {
    let (named, keyed) = (table.has("name"), table.has("hash") || table.has("secret"));
    let name = reader.read(table, "name", |plain| plain.parsed(token_name));
    let hash = reader.read(table, "hash", |plain| plain.parsed(hash));
    let secret = reader.scalar(table, "secret");
    let allow = reader.texts(table, "allow");
    let Some(allow) = allow else {
        let verbs = Verb::ALL.map(Verb::as_str).join(", ");
        reader.issue(place, format!("[[token]] needs 'allow': a list of {verbs}"));
        return None;
    };
    let mut verbs = Vec::new();
    for (text, place) in allow {
        match Verb::ALL.into_iter().find(|verb| verb.as_str() == text) {
            Some(verb) => verbs.push(verb),
            None => {
                let near = did_you_mean(&text, Verb::ALL.map(Verb::as_str));
                reader.issue(
                    &place,
                    format!("'{text}' is nothing that a token can allow{near}"),
                );
            }
        }
    }
    if let Some(secret) = &secret {
        if !secret.interpolated {
            let message = "a secret does not stand in the file: write ${file:PATH}, or give 'hash'";
            reader.issue(&secret.place, message);
        } else if secret.value.text().is_ok_and(|text| text.trim().is_empty()) {
            reader.issue(&secret.place, "the secret is empty");
        }
    }
    match (name, hash, secret) {
        (Some(name), Some(hash), None) => Some(Token::new(&name, hash, verbs)),
        (Some(name), None, Some(secret)) => {
            let secret = secret.value.text().unwrap_or_default();
            Some(Token::of_secret(&name, secret.trim(), verbs))
        }
        (_, Some(_), Some(_)) => {
            reader.issue(place, "[[token]] takes 'hash' or 'secret', not both");
            None
        }
        // What stands there and is wrong was said at its place.
        (name, ..) => {
            if name.is_none() && !named {
                reader.issue(place, "[[token]] needs a 'name'");
            }
            if !keyed {
                reader.issue(place, "[[token]] needs a 'hash' or a 'secret'");
            }
            None
        }
    }
}

fn token_name(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if !text.is_empty() && text.bytes().all(good) {
        return Ok(text.to_owned());
    }
    Err("is not a name of letters, digits, '-', '_' and '.'".to_owned())
}

fn hash(text: &str) -> Result<[u8; 32], String> {
    let bad = || "is not 'sha256:' and 64 hex digits".to_owned();
    let hex = text.strip_prefix(SHA256).ok_or_else(bad)?;
    let mut hash = [0; 32];
    if hex.len() != 2 * hash.len() {
        return Err(bad());
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        let digits = hex.get(2 * index..2 * index + 2).ok_or_else(bad)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
    }
    Ok(hash)
}

impl Config {
    /// Sets the numbers and the durability of an application.
    pub(crate) fn apply(&self, mut app: App) -> App {
        for (name, numbers) in &self.subscriptions {
            app = app.configure(name, |options| numbers.set(options));
        }
        match self.durability {
            Some(level) => app.durability(level),
            None => app,
        }
    }
}
