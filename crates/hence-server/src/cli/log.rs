//! `hence log`: data directories, looked at and saved without a server.

mod check;
mod rebuild;
mod salvage;
mod stat;

use std::path::Path;

use hence::core::Code;
use hence_engine_local::translate;
use serde_json::{Value, json};

use super::error::{Error, Result};
use super::output::{Form, Output, Style, clean};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence log check ./hence-data
  hence log stat ./hence-data
  hence log salvage ./hence-data --to ./saved";

/// Data directories: is a log intact, how large is it, what can be saved of a damaged one.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Log {
    Check(check::Check),
    Stat(stat::Stat),
    Salvage(salvage::Salvage),
    Rebuild(rebuild::Rebuild),
}

impl Log {
    pub(crate) fn run(self, out: &mut Output) -> Result<()> {
        match self {
            Self::Check(check) => check.run(out),
            Self::Stat(stat) => stat.run(out),
            Self::Salvage(salvage) => salvage.run(out),
            Self::Rebuild(rebuild) => rebuild.run(out),
        }
    }
}

/// What the log said, under the library's code, with the directory before it.
pub(super) fn failed(dir: &Path, error: hence_log::Error) -> Error {
    Error::from(translate(error)).at(dir.display())
}

/// A directory without any segment.
fn no_log(dir: &Path) -> Error {
    let sentence = format!("there is no log in '{}'", dir.display());
    Error::from(Code::NOT_FOUND.error(sentence))
        .fix("name the directory that `hence dev` or `hence serve` keeps events in")
}

/// Facts about a log: rows for people and `--plain`, one object with `--json`.
pub(super) fn facts(out: &mut Output, object: Value, rows: &[(&str, String)]) -> Result<()> {
    if out.is_json() {
        return out.json(&object);
    }
    for (name, value) in rows {
        if out.form() == Form::Plain {
            out.row([*name, value])?;
        } else {
            let name = out.paint(Style::Faint, &format!("{name:18}"));
            out.line(&format!("{name}  {}", clean(value)))?;
        }
    }
    Ok(())
}

/// A file and a place in it, as `--json` writes what is wrong there.
fn place(problem: &hence_log::Problem) -> Value {
    json!({"file": problem.file, "offset": problem.offset, "what": problem.what})
}

/// `1 to 40`, or `none`.
pub(super) fn span((first, last): (u64, u64)) -> String {
    if first == 0 {
        "none".to_owned()
    } else {
        format!("{first} to {last}")
    }
}

/// The object of two positions; strings, as everywhere in the API.
pub(super) fn positions((first, last): (u64, u64)) -> Value {
    json!({"first": first.to_string(), "last": last.to_string()})
}
