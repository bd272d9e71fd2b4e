//! `POST /v1/events` and `POST /v1/publish/{type}`: what comes in is stored, and the receipt says
//! how safely.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::join_all;
use hence::core::commit::Sequence;
use hence::core::envelope::{DELIVER_AT, KEY};
use hence::core::{Attributes, Entry, Message, Timestamp};
use hence::{Durability, Receipt};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use sha2::{Digest, Sha256};

use super::auth::{Caller, MayPublish, Verb};
use super::cloudevents::{self, Mode, content_type, media_type};
use super::idempotency::{self, Fingerprint, Stored, Turn};
use super::problem::{Code, Problem, not_a_cloudevent};
use super::query::{Query, malformed, time};
use super::sequence;
use super::suggest::did_you_mean;
use super::{Gateway, segment};

/// What both resources may be asked.
const ASK: [&str; 2] = ["durability", "partial"];
/// What `/v1/publish/{type}` may be asked besides.
const PUBLISH: [&str; 4] = ["key", "subject", "delay", "at"];
/// The types that Hence keeps for itself.
const RESERVED: &str = "hence.";
/// Levels that other engines have; asking for one here is no typing error.
const ELSEWHERE: [&str; 3] = ["replicated", "replicated+synced", "replicated synced"];
/// The most places that the problem of a batch lists.
const PLACES_MAX: usize = 20;
/// The mistake of `curl -d`, and its cure.
const FORM_HINT: &str = "`curl -d` sends a form; use `curl --json`";

/// What is asked of a publish besides the events.
pub(super) struct Ask {
    pub(super) durability: Durability,
    pub(super) partial: bool,
    pub(super) wait: Option<Duration>,
    /// Whether the caller may read what handlers made of the events.
    pub(super) reads: bool,
    /// Which request of a sender it is, if that counts them.
    sequence: Option<Sequence>,
}

/// The events of a request.
struct Incoming {
    events: Vec<Result<Message, Problem>>,
    batch: bool,
    /// The attributes that were filled in here, and so differ when the same request comes again.
    filled: &'static [&'static str],
}

/// `POST /v1/events`.
pub(crate) async fn events(
    State(gateway): State<Arc<Gateway>>,
    MayPublish(caller): MayPublish,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let query = Query::of(&parts.uri, &[&ASK])?;
    let mut ask = Ask::of(&gateway, &caller, &query, &parts.headers)?;
    ask.sequence = sequence::asked(&caller, &parts.headers)?;
    if ask.partial && ask.sequence.is_some() {
        let detail = "a sequence counts all events of a request, and 'partial' stores some";
        return Err(sequence::malformed(detail.to_owned()));
    }
    let mode = cloudevents::mode(&parts.headers)?;
    let body = gateway.limits.read(body, mode == Mode::Batch).await?;
    let limits = &gateway.limits;
    let events = match mode {
        Mode::Structured => {
            limits.check_event(body.len())?;
            vec![cloudevents::structured(&body)]
        }
        Mode::Batch => {
            let items = cloudevents::batch(&body)?;
            if items.is_empty() && ask.sequence.is_some() {
                return Err(sequence::nothing());
            }
            let (count, most) = (items.len(), limits.batch);
            if count > most {
                let detail = format!("{count} events, the limit is {most} (gateway.limits.batch)");
                return Err(Code::BATCH_TOO_LARGE.problem(detail));
            }
            let sized = |(bytes, event): cloudevents::Sized| limits.check_event(bytes).and(event);
            items.into_iter().map(sized).collect()
        }
        Mode::Binary => {
            refuse_form(&parts.headers, &body)?;
            check_json_body(&parts.headers, &body)?;
            vec![cloudevents::binary(&parts.headers, body.clone()).and_then(|m| sized(&gateway, m))]
        }
    };
    let (batch, filled) = (mode == Mode::Batch, [].as_slice());
    let incoming = Incoming {
        events: events
            .into_iter()
            .map(|event| event.and_then(unreserved))
            .collect(),
        batch,
        filled,
    };
    store(&gateway, &caller, ask, incoming, &parts, &body).await
}

/// `POST /v1/publish/{type}`.
pub(crate) async fn publish(
    State(gateway): State<Arc<Gateway>>,
    MayPublish(caller): MayPublish,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let event_type = segment(path)?;
    let query = Query::of(&parts.uri, &[&ASK, &PUBLISH])?;
    sequence::refuse(&parts.headers)?;
    let ask = Ask::of(&gateway, &caller, &query, &parts.headers)?;
    if cloudevents::mode(&parts.headers)? != Mode::Binary {
        return Err(
            media_type("this resource takes the data of an event, not a CloudEvent")
                .hint("POST CloudEvents to /v1/events"),
        );
    }
    let body = gateway.limits.read(body, false).await?;
    refuse_form(&parts.headers, &body)?;
    check_json_body(&parts.headers, &body)?;
    let (mut attributes, filled) = fill(&caller, &event_type, &query, &parts.headers)?;
    if attributes.key().is_none()
        && let Some(key) = gateway
            .bus
            .key_of(&event_type, attributes.data_version(), &body)
    {
        attributes.set(KEY, key)?;
    }
    let data = Some(body.clone()).filter(|body| !body.is_empty());
    let message = sized(&gateway, Message::new(attributes, data)).and_then(unreserved)?;
    let incoming = Incoming {
        events: vec![Ok(message)],
        batch: false,
        filled,
    };
    store(&gateway, &caller, ask, incoming, &parts, &body).await
}

/// The attributes of an event that comes as bare data, and which of them were filled in.
fn fill(
    caller: &Caller,
    event_type: &str,
    query: &Query,
    headers: &HeaderMap,
) -> Result<(Attributes, &'static [&'static str]), Problem> {
    let found = cloudevents::attributes(headers)?;
    let given = |wanted: &str| {
        let value = found.iter().find(|(name, _)| name == wanted);
        value.map(|(_, text)| text.clone())
    };
    if given("type").is_some_and(|other| other != event_type) {
        return Err(not_a_cloudevent(
            "attribute 'type' is another in the header than in the path",
        ));
    }
    let fresh = || uuid::Uuid::now_v7().to_string();
    let id = match given("id") {
        Some(id) => id,
        None => idempotency::key(headers)?.unwrap_or_else(fresh),
    };
    let source = given("source")
        .unwrap_or_else(|| format!("/hence/http/{}", super::query::encode(&caller.name)));
    let mut attributes = Attributes::new(id, source, event_type)?;
    cloudevents::set_all(&mut attributes, &found, &["id", "source", "type"])?;
    if let Some(media_type) = content_type(headers)? {
        attributes.set("datacontenttype", media_type)?;
    }
    for (parameter, attribute) in [("key", KEY), ("subject", "subject")] {
        if let Some(text) = query.text(parameter) {
            attributes.set(attribute, text)?;
        }
    }
    let (delay, at) = (query.duration("delay")?, query.text("at"));
    let deliver_at = match (delay, at) {
        (Some(_), Some(_)) => {
            return Err(Code::MALFORMED.problem("'delay' and 'at' exclude each other"));
        }
        (Some(delay), None) => Some(Timestamp::steady().after(delay)),
        (None, Some(at)) => Some(time("at", at)?),
        (None, None) => None,
    };
    if let Some(moment) = deliver_at {
        let text = moment.to_string();
        if Timestamp::parse(&text).is_err() {
            let delay = query.text("delay").unwrap_or_default();
            return Err(malformed("delay", delay, "ends behind the year 9999"));
        }
        attributes.set(DELIVER_AT, text)?;
    }
    let timed = attributes.time().is_some();
    if !timed {
        attributes.set("time", Timestamp::now().to_string())?;
    }
    let filled: &[&str] = match (timed, delay) {
        (true, None) => &[],
        (true, Some(_)) => &[DELIVER_AT],
        (false, None) => &["time"],
        (false, Some(_)) => &["time", DELIVER_AT],
    };
    Ok((attributes, filled))
}

/// Refuses what `curl -d` makes of JSON, and on `/v1/events` every form.
fn refuse_form(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let form = content_type(headers)?.is_some_and(|whole| {
        let essence = whole.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    let json = || {
        let start = body.trim_ascii_start().first();
        matches!(start, Some(b'{' | b'[' | b'"'))
            || serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
    };
    if form && json() {
        return Err(
            media_type("a JSON body came as application/x-www-form-urlencoded").hint(FORM_HINT),
        );
    }
    Ok(())
}

/// Checks that a body which is announced as JSON, or as nothing, is JSON.
fn check_json_body(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() {
        return Ok(());
    }
    let Some(whole) = content_type(headers)? else {
        return cloudevents::check_json(body).map_err(|_| {
            media_type("the body has no Content-Type and is not JSON")
                .hint("say what it is, as in Content-Type: text/plain")
        });
    };
    let essence = whole.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence.ends_with("/json") || essence.ends_with("+json") {
        return cloudevents::check_json(body);
    }
    Ok(())
}

/// Checks the size of a message: its attributes as text, and its data.
fn sized(gateway: &Gateway, message: Message) -> Result<Message, Problem> {
    let attributes = cloudevents::to_headers(&message);
    let head: usize = attributes
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let data = message.data().map_or(0, Bytes::len);
    gateway.limits.check_event(head + data)?;
    Ok(message)
}

/// Refuses the types that Hence keeps for itself.
fn unreserved(message: Message) -> Result<Message, Problem> {
    let event_type = message.attributes().event_type();
    if event_type.starts_with(RESERVED) {
        let detail = format!("attribute 'type' is '{event_type}'; 'hence.*' is reserved");
        return Err(Code::NOT_A_CLOUDEVENT.problem(&detail).at("/type", detail));
    }
    Ok(message)
}

impl Ask {
    fn of(
        gateway: &Gateway,
        caller: &Caller,
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let levels = &gateway.bus.engine().capability().durability;
        let names: Vec<_> = levels.iter().map(|level| level.as_str()).collect();
        let durability = match query.text("durability") {
            None => gateway.bus.durability(),
            Some(text) => {
                let known: Option<Durability> = text.parse().ok();
                if known.is_none() && !ELSEWHERE.contains(&text) {
                    let near = did_you_mean(text, ["accepted", "written", "synced"]);
                    return Err(malformed("durability", text, &format!("is no level{near}")));
                }
                known
                    .filter(|level| levels.contains(level))
                    .ok_or_else(|| {
                        let engine = gateway.bus.engine().capability().name;
                        let all = names.join(", ");
                        Code::DURABILITY
                            .problem(format!("the engine '{engine}' has {all}, not '{text}'"))
                            .hint(format!("ask for one of {all}"))
                    })?
            }
        };
        let wait = wait(headers).map(|wait| wait.min(gateway.limits.wait));
        let partial = query.flag("partial")?;
        Ok(Self {
            durability,
            partial,
            wait,
            reads: caller.may(Verb::Read),
            sequence: None,
        })
    }
}

/// The seconds of `Prefer: wait=N`; a preference that does not read is no preference.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
        .map(Duration::from_secs)
}

/// Stores the events, once for each `Idempotency-Key`, and answers.
async fn store(
    gateway: &Gateway,
    caller: &Caller,
    ask: Ask,
    incoming: Incoming,
    parts: &Parts,
    body: &[u8],
) -> Result<Response, Problem> {
    let key = idempotency::key(&parts.headers)?;
    let turn = match &key {
        Some(key) => {
            let fingerprint = fingerprint(parts, body);
            Some(gateway.keys.turn(&caller.name, key, fingerprint)?)
        }
        None => None,
    };
    let batch = incoming.batch;
    let warning = gateway.warning(&incoming);
    let stored = match turn {
        Some(Turn::Again(stored)) => {
            let again = |receipt| {
                gateway.counters.absorbed();
                again(receipt)
            };
            stored.into_iter().map(|one| one.map(again)).collect()
        }
        Some(Turn::First(claim)) => {
            let stored = gateway.commit(&ask, incoming).await?;
            claim.done(&stored);
            stored
        }
        None => gateway.commit(&ask, incoming).await?,
    };
    let mut response = gateway.answer(&ask, batch, &stored).await?;
    let doubt = ask
        .sequence
        .as_ref()
        .and_then(|of| sequence::doubt(of, &stored));
    for warning in doubt.into_iter().chain(warning) {
        let visible = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
        if let Ok(text) = HeaderValue::try_from(warning.chars().map(visible).collect::<String>()) {
            let name = HeaderName::from_static("hence-warning");
            response.headers_mut().append(name, text);
        }
    }
    Ok(response)
}

/// The receipt of a request that was done before.
fn again(mut receipt: Receipt) -> Receipt {
    receipt.duplicate = true;
    receipt
}

/// What makes a request, for the comparison with another of the same key.
fn fingerprint(parts: &Parts, body: &[u8]) -> Fingerprint {
    let mut attributes: Vec<_> = parts
        .headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            ["content-type", "hence-sender", "hence-sequence"].contains(&name)
                || name.starts_with("ce-")
        })
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    attributes.sort_unstable();
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(parts.uri.path().as_bytes());
    part(parts.uri.query().unwrap_or_default().as_bytes());
    for (name, value) in attributes {
        part(name.as_bytes());
        part(value);
    }
    part(body);
    hash.finalize().into()
}

impl Gateway {
    /// Commits the events: all of them or none, unless the request takes a part.
    async fn commit(&self, ask: &Ask, incoming: Incoming) -> Result<Vec<Stored>, Problem> {
        let began = Instant::now();
        let types: Vec<Option<String>> = incoming.events.iter().map(event_type).collect();
        let stored = if let Some(sequence) = &ask.sequence {
            let messages = whole(incoming.events, incoming.batch)?;
            let sent = self
                .bus
                .commit_counted(messages, ask.durability, sequence.clone());
            let sent = sent.await.map_err(sequence::refused)?;
            sent.into_iter().map(Ok).collect()
        } else if ask.partial {
            let each = incoming.events.into_iter().map(async |event| {
                let message = event?;
                self.commit_one(ask.durability, message, incoming.filled)
                    .await
            });
            // Polled in turn, so the order of the batch is the order of its positions.
            join_all(each).await
        } else {
            let batch = incoming.batch;
            let mut messages = whole(incoming.events, batch)?;
            match (batch, messages.len()) {
                (false, 1) => {
                    let message = messages.pop();
                    let message = message.ok_or_else(|| Code::INTERNAL.problem("no event"))?;
                    vec![Ok(self
                        .commit_one(ask.durability, message, incoming.filled)
                        .await?)]
                }
                _ if messages.is_empty() => Vec::new(),
                _ => {
                    let receipts = self.bus.commit(messages, ask.durability).await?;
                    receipts.into_iter().map(Ok).collect()
                }
            }
        };
        for (stored, event_type) in stored.iter().zip(types) {
            if let (Ok(receipt), Some(event_type)) = (stored, event_type) {
                self.counters.published(&event_type, receipt.duplicate);
            }
        }
        self.counters.publish_took(ask.durability, began.elapsed());
        Ok(stored)
    }

    async fn commit_one(
        &self,
        durability: Durability,
        message: Message,
        filled: &[&str],
    ) -> Stored {
        let outcome = self.bus.commit(vec![message.clone()], durability).await;
        match outcome {
            Ok(mut receipts) => {
                let none = || Code::INTERNAL.problem("a commit without a receipt");
                receipts.pop().ok_or_else(none)
            }
            Err(error) if error.code().as_str() == "HN0209" && !filled.is_empty() => {
                let known = self.known(&message, filled).await;
                known.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The receipt of an event that is stored already and differs only in what was filled in here.
    async fn known(&self, message: &Message, filled: &[&str]) -> Option<Receipt> {
        let engine = self.bus.engine();
        let wanted = message.attributes();
        let found = engine.find(Some(wanted.source()), wanted.id()).await.ok()?;
        let Entry {
            position,
            message: first,
            ..
        } = engine.get(*found.first()?).await.ok()?;
        let mut same = message.clone();
        for name in filled {
            let value = match *name {
                "time" => first.attributes().time().map(Into::into),
                name => first.attributes().extension(name),
            };
            same = same
                .with_attributes(|all| all.set(name, value.unwrap_or("".into())))
                .ok()?;
        }
        let level = engine.capability().strongest();
        (same == first).then(|| again(Receipt::new(first, Some(position), level)))
    }

    /// What to say about events that are stored (G17) but may not do what was meant: nothing takes
    /// their type, or it is ordered by a key that they do not have.
    fn warning(&self, incoming: &Incoming) -> Option<String> {
        let subscriptions = &self.topology.subscriptions;
        let taken: Vec<&str> = subscriptions
            .iter()
            .flat_map(|subscription| subscription.takes.iter().map(String::as_str))
            .collect();
        let warn = |message: &Message| {
            let attributes = message.attributes();
            let name = attributes.event_type();
            if !taken.contains(&name) {
                let near = did_you_mean(name, taken.iter().copied());
                return Some(format!("no subscription takes '{name}'{near}"));
            }
            let keyed = self
                .topology
                .types
                .iter()
                .any(|kind| kind.name == name && kind.keyed);
            (keyed && attributes.key().is_none())
                .then(|| format!("'{name}' is ordered by key, and the event has none: ?key="))
        };
        incoming.events.iter().flatten().find_map(warn)
    }
}

fn event_type(event: &Result<Message, Problem>) -> Option<String> {
    let message = event.as_ref().ok()?;
    Some(message.attributes().event_type().to_owned())
}

/// All events, or the problem of every one that is none.
fn whole(events: Vec<Result<Message, Problem>>, batch: bool) -> Result<Vec<Message>, Problem> {
    let mut messages = Vec::with_capacity(events.len());
    let mut first: Option<Problem> = None;
    let mut bad = 0_usize;
    for (index, event) in events.into_iter().enumerate() {
        match event {
            Ok(message) => messages.push(message),
            Err(problem) if !batch => return Err(problem),
            Err(problem) => {
                let problem = problem.below(&format!("/{index}"));
                bad += 1;
                first = Some(match first {
                    None => problem.within(&format!("event {index}: ")),
                    Some(first) if bad <= PLACES_MAX => first.and(problem),
                    Some(first) => first,
                });
            }
        }
    }
    first.map_or(Ok(messages), Err)
}
