//! `hence status`: which server answers, what it promises, and who it thinks we are.

use std::time::Instant;

use serde_json::Value;
use serde_json::value::RawValue;

use super::error::Result;
use super::global::Global;
use super::moment;
use super::output::{Form, Output, Style, clean};
use super::query::Query;
use super::remote::{Ask, Remote};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence status
  hence status --json";

/// Shows the server: version, engine, durability, limits, and what the token permits.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(out: &mut Output, global: &Global) -> Result<()> {
        let remote = Remote::open(global)?;
        let begin = Instant::now();
        let answer = remote
            .ask(out, &Ask::get("/v1/status", Query::default()))
            .await?;
        let took = begin.elapsed();
        if out.is_json() {
            return out.raw(answer.read::<Box<RawValue>>()?.as_ref());
        }
        let mut rows = Vec::new();
        flatten("", &answer.read()?, &mut rows);
        if out.form() == Form::Plain {
            return rows
                .iter()
                .try_for_each(|(name, value)| out.row([name.as_str(), value]));
        }
        let base = out.paint(Style::Head, remote.base());
        out.line(&format!("{base} answers in {}", moment::span(took)))?;
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            let name = out.paint(Style::Faint, &format!("{name:width$}"));
            out.line(&format!("  {name}  {}", clean(&value)))?;
        }
        out.next("hence graph");
        Ok(())
    }
}

/// Members of members as `limits.event`; lists of words on one line.
fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let deeper = if name.is_empty() {
                    member.clone()
                } else {
                    format!("{name}.{member}")
                };
                flatten(&deeper, value, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in items.iter().enumerate() {
                flatten(&format!("{name}.{number}"), item, rows);
            }
        }
        Value::Array(items) => {
            let words: Vec<_> = items.iter().map(word).collect();
            rows.push((name.to_owned(), words.join(" ")));
        }
        other => rows.push((name.to_owned(), word(other))),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
