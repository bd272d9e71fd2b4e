//! What the server says when it refuses: RFC 9457 problems, as errors of the command line.

use hyper::StatusCode;
use serde::Deserialize;

use super::error::{Error, Exit, Fault};
use super::table::shorten;

/// How much of an answer that is no problem object is shown.
const EXCERPT: usize = 120;

#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    errors: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    pointer: String,
    #[serde(default)]
    detail: String,
}

/// The error that an answer with a status of 300 or more stands for.
pub(crate) fn error(status: StatusCode, body: &[u8]) -> Error {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        let text = String::from_utf8_lossy(body);
        let error = Fault::ANSWER.error(format!("the server answered {status}"));
        return match text.trim() {
            "" => error,
            text => error.cause(shorten(text, EXCERPT)),
        };
    };
    let Problem {
        code,
        title,
        detail,
        hint,
        errors,
    } = problem;
    let sentence = detail.filter(|text| !text.is_empty());
    let sentence = sentence.unwrap_or_else(|| title.clone());
    let mut error = Error::told(exit(status, &code), code, title, sentence);
    for Place { pointer, detail } in errors {
        // A single place often says what the sentence says; then the pointer is all that is new.
        error = if error.to_string() == detail {
            error.cause(format!("at {pointer}"))
        } else {
            error.cause(format!("{pointer}: {detail}"))
        };
    }
    match hint {
        Some(hint) => error.fix(hint),
        None => error,
    }
}

fn exit(status: StatusCode, code: &str) -> Exit {
    match (status.as_u16(), code) {
        (401 | 403, _) => Exit::Refused,
        (404 | 410, _) => Exit::NotFound,
        (409 | 412, _) | (_, "HN4222" | "HN4223") => Exit::Conflict,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests;
