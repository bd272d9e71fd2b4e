//! The data of `hence publish`: an argument, a file, standard input, or lines of one of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::error::{Error, Fault, Result};
use super::global::Global;

/// The largest data that is read; servers take far less.
const DATA_BYTES_MAX: u64 = 64 << 20;

/// What to publish.
pub(crate) enum Bodies {
    /// An event without data.
    None,
    /// The same data for each event.
    Whole(Bytes),
    /// An event for each line.
    Lines(Lines),
}

impl Bodies {
    /// Opens `TEXT`, `@FILE`, `-`, or nothing.
    pub(crate) fn open(text: Option<&str>, lines: bool, is_json: bool) -> Result<Self> {
        let from = match (text, lines) {
            (None, false) => return Ok(Self::None),
            (None | Some("-"), _) => From::Stdin,
            (Some(text), _) => match text.strip_prefix('@') {
                Some(path) => From::File(path),
                None => From::Text(text),
            },
        };
        let name = from.name();
        let mut reader = from.open()?;
        if lines {
            return Ok(Self::Lines(Lines {
                reader,
                name,
                number: 0,
                is_json,
            }));
        }
        let mut bytes = Vec::new();
        let read = reader
            .by_ref()
            .take(DATA_BYTES_MAX + 1)
            .read_to_end(&mut bytes);
        read.map_err(|error| unreadable(&name, &error))?;
        if bytes.len() as u64 > DATA_BYTES_MAX {
            return Err(too_large(&name));
        }
        if is_json {
            check_json(&name, &bytes)?;
        }
        Ok(Self::Whole(bytes.into()))
    }
}

enum From<'a> {
    Stdin,
    File(&'a str),
    Text(&'a str),
}

impl From<'_> {
    fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => format!("'{path}'"),
            Self::Text(_) => "DATA".to_owned(),
        }
    }

    fn open(&self) -> Result<Box<dyn BufRead>> {
        Ok(match self {
            Self::Stdin => Box::new(BufReader::new(io::stdin())),
            Self::File(path) => {
                let file = File::open(path).map_err(|error| unreadable(&self.name(), &error))?;
                Box::new(BufReader::new(file))
            }
            Self::Text(text) => Box::new(io::Cursor::new(text.as_bytes().to_vec())),
        })
    }
}

/// Data line by line; empty lines are passed over.
pub(crate) struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
    number: u64,
    is_json: bool,
}

impl Lines {
    /// The next line that holds something.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let mut line = Vec::new();
            let read = self.reader.by_ref().take(DATA_BYTES_MAX + 1);
            let length = { read }.read_until(b'\n', &mut line);
            let length = length.map_err(|error| unreadable(&self.name, &error))?;
            if length == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.len() as u64 > DATA_BYTES_MAX {
                return Err(too_large(&self.place()));
            }
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if self.is_json {
                check_json(&self.place(), text)?;
            }
            return Ok(Some(Bytes::copy_from_slice(text)));
        }
    }

    /// The number of the line that came last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    fn place(&self) -> String {
        format!("line {} of {}", self.number, self.name)
    }
}

fn check_json(place: &str, bytes: &[u8]) -> Result<()> {
    serde_json::from_slice::<IgnoredAny>(bytes)
        .map(drop)
        .map_err(|error| {
            Fault::INPUT
                .error(format!("{place} is not JSON"))
                .cause(error)
                .fix("quote JSON for the shell, or say what it is: --attr datacontenttype=text/plain")
        })
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    Fault::INPUT
        .error(format!("{name} cannot be read"))
        .cause(error)
}

fn too_large(name: &str) -> Error {
    let limit = DATA_BYTES_MAX >> 20;
    Fault::INPUT.error(format!("{name} is larger than {limit} MiB"))
}

/// Refuses to read data and token from the same standard input.
pub(crate) fn check_stdin(data: Option<&str>, lines: bool, global: &Global) -> Result<()> {
    let data_wants = data == Some("-") || lines && data.is_none();
    if data_wants && global.token_file.as_deref() == Some(Path::new("-")) {
        return Err(Fault::INPUT
            .error("data and token cannot both come from standard input")
            .fix("put the token into a file of mode 0600"));
    }
    Ok(())
}

/// Reads `name=value`.
pub(crate) fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' has no `=`: write NAME=VALUE"))?;
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || !name.bytes().all(good) || name == "data" {
        return Err(format!("'{name}' is no attribute name: use a-z and 0-9"));
    }
    match name {
        "type" => Err("the type is the first argument".to_owned()),
        "id" => Err("the id has its own flag: --id".to_owned()),
        _ => Ok((name.to_owned(), value.to_owned())),
    }
}

/// Reads a number of events a second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text
        .parse()
        .map_err(|_| format!("'{text}' is not a number"))?;
    if rate.is_finite() && rate > 0.0 {
        Ok(rate)
    } else {
        Err("the rate is above 0".to_owned())
    }
}

#[cfg(test)]
mod tests;
