//! `Filter`: which events a command is about; the same words in every command.

use hence::core::Timestamp;
use serde_json::{Map, Value};

use super::moment;
use super::query::Query;
use super::shell::{flag, quoted};

/// Which events a command is about.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filter")]
pub(crate) struct Filter {
    /// Types of events: exact, `order.placed`, or a family, `order.*`.
    #[arg(value_name = "TYPE", value_parser = wanted)]
    pub(crate) types: Vec<Wanted>,

    /// Only events of this source.
    #[arg(long, value_name = "URI")]
    pub(crate) source: Option<String>,

    /// Only events about this subject.
    #[arg(long)]
    pub(crate) subject: Option<String>,

    /// Only events with this ordering key.
    #[arg(long)]
    pub(crate) key: Option<String>,

    /// Only the event with this id and what followed from it.
    #[arg(long, value_name = "ID")]
    pub(crate) correlation: Option<String>,

    /// Only events from this time on, or from so long ago: `1h`.
    #[arg(long, value_name = "TIME", value_parser = moment::past)]
    pub(crate) since: Option<Timestamp>,

    /// Only events before this time, or before so long ago.
    #[arg(long, value_name = "TIME", value_parser = moment::past)]
    pub(crate) until: Option<Timestamp>,
}

/// One type, or all types that begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// This type.
    Exactly(String),
    /// Every type with this beginning.
    Prefix(String),
}

/// Reads `order.placed`, `order.*` or `*`.
fn wanted(text: &str) -> Result<Wanted, String> {
    let prefix = text
        .strip_suffix(".*")
        .map(|start| format!("{start}."))
        .or_else(|| (text == "*").then(String::new));
    match prefix {
        Some(prefix) if !prefix.contains('*') => Ok(Wanted::Prefix(prefix)),
        None if text.is_empty() => Err("a type is not empty".to_owned()),
        None if !text.contains('*') => Ok(Wanted::Exactly(text.to_owned())),
        _ => Err("a `*` stands alone at the end, behind a dot: order.*".to_owned()),
    }
}

impl Filter {
    /// The filter as parameters of the API.
    pub(crate) fn query(&self) -> Query {
        let mut query = Query::default();
        for (name, value) in self.parts() {
            query.add(name, &value);
        }
        query
    }

    /// The filter as an object of the API.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        for (name, value) in self.parts() {
            match name {
                "type" | "typeprefix" => {
                    let list = object
                        .entry(name)
                        .or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(list) = list {
                        list.push(value.into());
                    }
                }
                _ => drop(object.insert(name.to_owned(), value.into())),
            }
        }
        object.into()
    }

    /// The filter as words of a command.
    pub(crate) fn words(&self) -> Vec<String> {
        let word = |(name, value): (&str, String)| match name {
            "type" => quoted(&value).into_owned(),
            "typeprefix" => quoted(&format!("{value}*")).into_owned(),
            "correlationid" => flag("correlation", &value),
            _ => flag(name, &value),
        };
        self.parts().into_iter().map(word).collect()
    }

    /// Its parts, by the names of the API.
    fn parts(&self) -> Vec<(&'static str, String)> {
        let all = Wanted::Prefix(String::new());
        // One `*` among the types takes them all.
        let types = self.types.iter().filter(|_| !self.types.contains(&all));
        let types = types.map(|wanted| match wanted {
            Wanted::Exactly(name) => ("type", Some(name.clone())),
            Wanted::Prefix(prefix) => ("typeprefix", Some(prefix.clone())),
        });
        let others = [
            ("source", self.source.clone()),
            ("subject", self.subject.clone()),
            ("key", self.key.clone()),
            ("correlationid", self.correlation.clone()),
            ("since", self.since.map(|time| time.to_string())),
            ("until", self.until.map(|time| time.to_string())),
        ];
        let given = types.chain(others);
        given
            .filter_map(|(name, part)| Some((name, part?)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
