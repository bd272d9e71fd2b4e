//! `Reader`: walks a TOML file once, finds every error, and says where each one stands.
//!
//! Whoever takes a key thereby says that it exists; what nobody took is unknown.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::issue::Issue;
use crate::gateway::suggest::did_you_mean;

/// The prefix of variables of the environment that set keys.
const PREFIX: &str = "HENCE_";

/// What stands at a key: a value of the file, or the text of a variable.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) value: Plain,
    pub(super) place: Place,
    /// Whether the text came, at least in part, from a variable or a file.
    pub(super) interpolated: bool,
}

/// A scalar.
#[derive(Clone, Debug)]
pub(super) enum Plain {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// Where a value was written.
#[derive(Clone, Debug)]
pub(super) enum Place {
    File(Range<usize>),
    Variable(String),
}

/// The file, the environment, and what was wrong with them.
pub(super) struct Reader<'a> {
    name: String,
    text: &'a str,
    folder: PathBuf,
    variables: BTreeMap<String, String>,
    issues: Vec<Issue>,
}

/// A table that is being taken apart.
pub(super) struct Table<'a> {
    path: Vec<String>,
    /// What was not taken yet: value and places of key and value.
    rest: BTreeMap<String, (Range<usize>, Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
    /// Whether variables may set its keys: not for tables in lists.
    named: bool,
}

impl<'a> Reader<'a> {
    /// Reads the syntax of a file; with the variables that set keys, `HENCE_…`.
    pub(super) fn new(
        file: Option<&Path>,
        text: &'a str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> (Self, Table<'a>) {
        let name = file.map_or_else(|| "(no file)".to_owned(), |file| file.display().to_string());
        let folder = file.and_then(Path::parent).map(Path::to_owned);
        let variables = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        let mut reader = Self {
            name,
            text,
            folder: folder.unwrap_or_default(),
            variables,
            issues: Vec::new(),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or_default();
            reader.issue(&Place::File(span), error.message().to_owned());
        }
        let root = Table::new(Vec::new(), table.into_inner(), true);
        (reader, root)
    }

    /// Records an error.
    pub(super) fn issue(&mut self, place: &Place, message: impl Into<String>) {
        let message = message.into();
        self.issues.push(match place {
            Place::File(span) => Issue::in_file(&self.name, self.text, span.clone(), message),
            Place::Variable(name) => Issue::in_variable(name, message),
        });
    }

    /// Records a name that was defined before, with both places.
    pub(super) fn once(&mut self, first: &mut BTreeMap<String, String>, name: &str, place: &Place) {
        let here = match place {
            Place::File(span) => {
                let before = self.text.get(..span.start).unwrap_or_default();
                format!("line {}", before.matches('\n').count() + 1)
            }
            Place::Variable(name) => name.clone(),
        };
        if let Some(there) = first.get(name) {
            let message = format!("'{name}' is defined twice, first on {there}");
            self.issue(place, message);
        } else {
            first.insert(name.to_owned(), here);
        }
    }

    /// Every error, in the order of the file, after the variables that set nothing.
    pub(super) fn finish(mut self) -> Vec<Issue> {
        let unknown: Vec<_> = self
            .variables
            .keys()
            .filter(|name| name.contains("__"))
            .cloned()
            .collect();
        for name in unknown {
            let place = Place::Variable(name);
            self.issue(&place, "sets no key that there is");
        }
        self.issues.sort_by_key(Issue::order);
        self.issues
    }

    /// Replaces `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `$$` in text.
    fn interpolate(&mut self, text: &str, place: &Place) -> (String, bool) {
        let (mut out, mut rest, mut any) = (String::new(), text, false);
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let inner = after
                .strip_prefix('{')
                .and_then(|after| after.split_once('}'));
            let Some((inner, after)) = inner else {
                let message = "'$' begins ${env:NAME} or ${file:PATH}; write $$ for a dollar";
                self.issue(place, message);
                return (text.to_owned(), any);
            };
            match self.resolve(inner) {
                Ok(value) => out.push_str(&value),
                Err(message) => self.issue(place, message),
            }
            any = true;
            rest = after;
        }
        out.push_str(rest);
        (out, any)
    }

    fn resolve(&self, inner: &str) -> Result<String, String> {
        if let Some(variable) = inner.strip_prefix("env:") {
            let (name, default) = match variable.split_once(":-") {
                Some((name, default)) => (name, Some(default.to_owned())),
                None => (variable, None),
            };
            let value = std::env::var(name).ok().or(default);
            return value.ok_or_else(|| format!("the environment has no variable '{name}'"));
        }
        if let Some(path) = inner.strip_prefix("file:") {
            let whole = self.folder.join(path);
            let read = std::fs::read_to_string(&whole);
            let text =
                read.map_err(|error| format!("cannot read '{}': {error}", whole.display()))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(line.strip_suffix('\r').unwrap_or(line).to_owned());
        }
        let near = did_you_mean(inner.split(':').next().unwrap_or_default(), ["env", "file"]);
        Err(format!(
            "'${{{inner}}}' is neither ${{env:NAME}} nor ${{file:PATH}}{near}"
        ))
    }

    /// Takes a scalar: of the environment before the file.
    pub(super) fn scalar(&mut self, table: &mut Table<'a>, key: &'static str) -> Option<Found> {
        let spanned = table.take(key);
        if table.named {
            let words: Vec<_> = table.path.iter().map(String::as_str).chain([key]).collect();
            let name = format!("{PREFIX}{}", words.join("__").to_uppercase());
            if let Some(text) = self.variables.remove(&name) {
                let (value, place) = (Plain::Text(text), Place::Variable(name));
                return Some(Found {
                    value,
                    place,
                    interpolated: true,
                });
            }
        }
        let (_, spanned) = spanned?;
        let place = Place::File(spanned.span());
        let mut interpolated = false;
        let value = match spanned.into_inner() {
            DeValue::String(text) => {
                let (text, any) = self.interpolate(&text, &place);
                interpolated = any;
                Plain::Text(text)
            }
            DeValue::Integer(number) => {
                let read = i64::from_str_radix(number.as_str(), number.radix());
                Plain::Integer(read.unwrap_or(i64::MAX))
            }
            DeValue::Float(number) => Plain::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Plain::Boolean(flag),
            other => {
                let message = format!("'{key}' is {}, not a single value", kind(&other));
                self.issue(&place, message);
                return None;
            }
        };
        Some(Found {
            value,
            place,
            interpolated,
        })
    }

    /// Takes a scalar and reads it.
    pub(super) fn read<T>(
        &mut self,
        table: &mut Table<'a>,
        key: &'static str,
        read: impl FnOnce(&Plain) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.scalar(table, key)?;
        match read(&found.value) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.issue(&found.place, format!("'{key}' {reason}"));
                None
            }
        }
    }

    /// Takes a list of texts.
    pub(super) fn texts(
        &mut self,
        table: &mut Table<'a>,
        key: &'static str,
    ) -> Option<Vec<(String, Place)>> {
        let (_, spanned) = table.take(key)?;
        let span = spanned.span();
        let DeValue::Array(items) = spanned.into_inner() else {
            self.issue(
                &Place::File(span),
                format!("'{key}' must be a list, as in [\"a\", \"b\"]"),
            );
            return None;
        };
        let mut texts = Vec::new();
        for item in items {
            let place = Place::File(item.span());
            match item.into_inner() {
                DeValue::String(text) => {
                    let (text, _) = self.interpolate(&text, &place);
                    texts.push((text, place));
                }
                other => {
                    let message = format!("'{key}' lists texts, and this is {}", kind(&other));
                    self.issue(&place, message);
                }
            }
        }
        Some(texts)
    }

    /// Takes a table; one that is absent is empty, because variables may still set its keys.
    pub(super) fn table(&mut self, table: &mut Table<'a>, key: &'static str) -> Table<'a> {
        let mut path = table.path.clone();
        path.push(key.to_owned());
        let named = table.named;
        let Some((_, spanned)) = table.take(key) else {
            return Table::new(path, DeTable::new(), named);
        };
        let span = spanned.span();
        match spanned.into_inner() {
            DeValue::Table(inner) => Table::new(path, inner, named),
            other => {
                let message = format!("'{key}' must be a table, and is {}", kind(&other));
                self.issue(&Place::File(span), message);
                Table::new(path, DeTable::new(), named)
            }
        }
    }

    /// Takes a list of tables, `[[key]]`, each with its place.
    pub(super) fn tables(
        &mut self,
        table: &mut Table<'a>,
        key: &'static str,
    ) -> Vec<(Place, Table<'a>)> {
        let Some((_, spanned)) = table.take(key) else {
            return Vec::new();
        };
        let span = spanned.span();
        let DeValue::Array(items) = spanned.into_inner() else {
            let message = format!("'{key}' is a list of tables: write [[{key}]]");
            self.issue(&Place::File(span), message);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            let place = Place::File(item.span());
            match item.into_inner() {
                DeValue::Table(inner) => {
                    tables.push((place, Table::new(vec![key.to_owned()], inner, false)));
                }
                other => self.issue(
                    &place,
                    format!("[[{key}]] lists tables, not {}", kind(&other)),
                ),
            }
        }
        tables
    }

    /// Records what nobody took as unknown.
    pub(super) fn close(&mut self, table: Table<'a>) {
        for (name, (span, _)) in table.rest {
            let near = did_you_mean(&name, table.known.iter().copied());
            let within = match table.path.join(".") {
                path if path.is_empty() => String::new(),
                path => format!(" in '{path}'"),
            };
            let all = table.known.join(", ");
            let message = format!("there is no key '{name}'{within}{near} (there are {all})");
            self.issue(&Place::File(span), message);
        }
    }
}

impl<'a> Table<'a> {
    fn new(path: Vec<String>, table: DeTable<'a>, named: bool) -> Self {
        let rest = table
            .into_iter()
            .map(|(key, value)| {
                let span = key.span();
                (key.into_inner().into_owned(), (span, value))
            })
            .collect();
        Self {
            path,
            rest,
            known: Vec::new(),
            named,
        }
    }

    /// Whether a key stands there, good or bad.
    pub(super) fn has(&self, key: &str) -> bool {
        self.rest.contains_key(key)
    }

    /// Whether a text stands there, and no table.
    pub(super) fn is_text(&self, key: &str) -> bool {
        let value = self.rest.get(key).map(|(_, value)| value.get_ref());
        matches!(value, Some(DeValue::String(_)))
    }

    fn take(&mut self, key: &'static str) -> Option<(Range<usize>, Spanned<DeValue<'a>>)> {
        self.known.push(key);
        self.rest.remove(key)
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl Plain {
    /// A text.
    pub(super) fn text(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            _ => Err("must be a text in quotes".to_owned()),
        }
    }

    /// A text that reads as something.
    pub(super) fn parsed<T>(
        &self,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
        };
        read(&text).map_err(|reason| format!("= {text} {reason}"))
    }

    /// A whole number from a least one on.
    pub(super) fn count(&self, least: usize) -> Result<usize, String> {
        let number = match self {
            Self::Integer(number) => usize::try_from(*number).ok(),
            Self::Text(text) => text.parse().ok(),
            Self::Float(_) | Self::Boolean(_) => None,
        };
        let number = number.filter(|number| *number >= least);
        number.ok_or_else(|| format!("must be a whole number, {least} or more"))
    }

    /// A number.
    pub(super) fn number(&self) -> Result<f64, String> {
        let number = match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Boolean(_) => None,
        };
        let good = |number: &f64| number.is_finite() && *number >= 0.0;
        number
            .filter(good)
            .ok_or_else(|| "must be a number, zero or more".to_owned())
    }

    /// True or false.
    pub(super) fn flag(&self) -> Result<bool, String> {
        match self {
            Self::Boolean(flag) => Ok(*flag),
            Self::Text(text) if text == "true" => Ok(true),
            Self::Text(text) if text == "false" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }

    /// One of some words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T, String> {
        self.parsed(|text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                let near = did_you_mean(text, names.iter().copied());
                format!("is not one of {}{near}", names.join(", "))
            })
        })
    }
}
