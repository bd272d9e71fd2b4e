//! The requests of one `hence publish`, made one at a time.

use bytes::Bytes;
use hence::core::Durability;

use super::Publish;
use crate::cli::error::{Error, Result};
use crate::cli::input::Bodies;
use crate::cli::output::Output;
use crate::cli::query::{Query, encode, encode_header};
use crate::cli::remote::Ask;

/// The requests of one command, made one at a time.
pub(super) struct Asks {
    ask: Ask,
    bodies: Bodies,
    media: String,
    left: u64,
    /// How many were made so far.
    pub(super) sent: u64,
}

impl Asks {
    /// The requests that a command line stands for.
    pub(super) fn of(publish: &Publish) -> Result<Self> {
        let has_type = publish
            .attributes
            .iter()
            .find(|(name, _)| name == "datacontenttype");
        let media = has_type.map(|(_, value)| value.clone());
        let bodies = Bodies::open(publish.data.as_deref(), publish.lines, media.is_none())?;
        let mut ask = Ask::post(
            format!("/v1/publish/{}", encode(&publish.event_type)),
            query(publish),
        );
        for (name, value) in publish
            .attributes
            .iter()
            .filter(|(name, _)| name != "datacontenttype")
        {
            ask.headers
                .push((format!("ce-{name}"), encode_header(value)));
        }
        if let Some(id) = &publish.id {
            ask.headers.push(("ce-id".to_owned(), encode_header(id)));
        }
        if let Some(wait) = publish.wait {
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            ask.headers
                .push(("prefer".to_owned(), format!("wait={seconds}")));
            ask.patience = wait;
        }
        Ok(Self {
            ask,
            bodies,
            media: media.unwrap_or_else(|| "application/json".to_owned()),
            left: publish.count.unwrap_or(1),
            sent: 0,
        })
    }

    /// The next one; nothing when all were made.
    pub(super) fn next(&mut self) -> Result<Option<Ask>> {
        let body = match &mut self.bodies {
            Bodies::None if self.left > 0 => None,
            Bodies::Whole(bytes) if self.left > 0 => Some(bytes.clone()),
            Bodies::None | Bodies::Whole(_) => return Ok(None),
            Bodies::Lines(lines) => match lines.next()? {
                Some(line) => Some(line),
                None => return Ok(None),
            },
        };
        self.left = self.left.saturating_sub(1);
        Ok(Some(self.with(body)))
    }

    fn with(&self, body: Option<Bytes>) -> Ask {
        let mut ask = self.ask.clone();
        if let Some(body) = body {
            ask.headers
                .push(("content-type".to_owned(), self.media.clone()));
            ask.body = body;
        }
        ask
    }

    /// Says which line is in trouble.
    pub(super) fn place(&self, error: Error) -> Error {
        match &self.bodies {
            Bodies::Lines(lines) => error.at(format!("line {}", lines.number())),
            _ => error,
        }
    }
}

fn query(publish: &Publish) -> Query {
    let mut query = Query::default();
    query.add_some("key", publish.key.as_deref());
    query.add_some("subject", publish.subject.as_deref());
    query.add_some("durability", publish.durability.map(Durability::as_str));
    query.add_some("at", publish.at.map(|at| at.to_string()).as_deref());
    if let Some(delay) = publish.delay {
        query.add("delay", &format!("{}ms", delay.as_millis()));
    }
    query
}

/// Shows a request in place of sending it.
pub(super) fn show(out: &mut Output, ask: &Ask) -> Result<()> {
    let body = String::from_utf8_lossy(&ask.body);
    if out.is_json() {
        let headers: serde_json::Map<_, _> = ask
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        return out.json(&serde_json::json!({
            "method": ask.method.as_str(), "path": ask.path, "query": ask.query.as_str(),
            "headers": headers, "body": body,
        }));
    }
    out.line(&format!(
        "{} {}{}",
        ask.method,
        ask.path,
        ask.query.as_str()
    ))?;
    for (name, value) in &ask.headers {
        out.line(&format!("{name}: {value}"))?;
    }
    if ask.body.is_empty() {
        return Ok(());
    }
    out.line("")?;
    out.line(&body)
}
