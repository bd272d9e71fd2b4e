//! `Issue` and `Invalid`: what is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;

/// The code of every error of configuration.
const CODE: &str = "HN0501";

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    /// `file:line:column`, or the variable.
    place: String,
    message: String,
    /// The line as it stands, and the column that is meant.
    line: Option<(String, usize, usize)>,
    offset: usize,
}

impl Issue {
    pub(super) fn in_file(name: &str, text: &str, span: Range<usize>, message: String) -> Self {
        let start = span.start.min(text.len());
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let column = text.get(begin..start).unwrap_or_default().chars().count() + 1;
        let whole = text.get(begin..).unwrap_or_default().lines().next();
        Self {
            place: format!("{name}:{line}:{column}"),
            message,
            line: Some((whole.unwrap_or_default().to_owned(), line, column)),
            offset: start,
        }
    }

    pub(super) fn in_variable(name: &str, message: String) -> Self {
        Self {
            place: format!("variable {name}"),
            message,
            line: None,
            offset: 0,
        }
    }

    /// An error of a flag, or of a file as a whole.
    pub(crate) fn of(place: &str, message: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            message: message.into(),
            line: None,
            offset: 0,
        }
    }

    pub(super) fn order(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some((text, line, column)) = &self.line {
            let number = line.to_string();
            let width = number.len();
            write!(
                f,
                "\n  {number} | {text}\n  {:width$} | {:>column$}",
                "", "^"
            )?;
        }
        Ok(())
    }
}

/// A configuration with which nothing can start: every error, not only the first.
#[derive(Debug)]
pub(crate) struct Invalid(pub(crate) Vec<Issue>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{CODE} configuration not valid, {count} error{plural}:")?;
        for issue in &self.0 {
            write!(f, "\n\n{issue}")?;
        }
        write!(f, "\n\nhence errors {CODE} says more")
    }
}

impl std::error::Error for Invalid {}
