//! `cargo xtask tidy`: the rules of the house that no compiler knows.
//!
//! One check per file. Each is a function from the house to its findings, tested on a house that
//! keeps the rule and on one that breaks it. The tables that the checks hold the code against
//! stand in the documents (ARCHITECTURE.md, GLOSSARY.md, `deny.toml`), so that the rule people
//! read and the rule that fails are one.

mod absence;
mod dependencies;
mod error_pages;
pub(crate) mod guarantees;
mod layers;
mod leftovers;
mod links;
pub(crate) mod markdown;
mod names;
mod patience;
mod records;
mod size;
mod snippets;
mod vocabulary;
mod weight;

use std::fmt;
use std::path::Path;

use anyhow::Result;

use crate::house::House;

type Check = fn(&House, &mut Findings);

const CHECKS: &[(&str, Check)] = &[
    ("layers", layers::check),
    ("absence", absence::check),
    ("dependencies", dependencies::check),
    ("size", size::check),
    ("names", names::check),
    ("vocabulary", vocabulary::check),
    ("error-pages", error_pages::check),
    ("guarantees", guarantees::check),
    ("leftovers", leftovers::check),
    ("patience", patience::check),
    ("links", links::check),
    ("snippets", snippets::check),
    ("records", records::check),
    ("weight", weight::check),
];

/// What a check found: problems fail, notes are only printed.
#[derive(Default)]
pub(crate) struct Findings {
    rule: &'static str,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

struct Problem {
    rule: &'static str,
    path: String,
    line: usize,
    message: String,
    fix: String,
}

impl Findings {
    fn problem(
        &mut self,
        path: &str,
        line: usize,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let (message, fix) = (message.into(), fix.into());
        self.problems.push(Problem {
            rule: self.rule,
            path: path.to_owned(),
            line,
            message,
            fix,
        });
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Runs one check on a house, for its tests.
    #[cfg(test)]
    fn of(check: Check, house: &House) -> Vec<String> {
        let mut findings = Self::default();
        check(house, &mut findings);
        findings.problems.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            path,
            line,
            message,
            fix,
        } = self;
        write!(f, "{path}:{line}: {rule}: {message} ({fix})")
    }
}

/// Runs every check and prints what it found; true when nothing is wrong.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let house = House::load(root)?;
    let mut findings = Findings::default();
    for (rule, check) in CHECKS {
        findings.rule = rule;
        check(&house, &mut findings);
    }
    findings
        .problems
        .sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for problem in &findings.problems {
        println!("{problem}");
    }
    for note in &findings.notes {
        println!("note: {note}");
    }
    println!(
        "tidy: {} checks, {} problems",
        CHECKS.len(),
        findings.problems.len()
    );
    Ok(findings.problems.is_empty())
}

/// Every Rust source, parsed. A file that does not parse is the compiler's business.
fn sources(house: &House) -> impl Iterator<Item = (&str, &str, syn::File)> {
    house
        .texts(".rs")
        .filter_map(|(path, text)| Some((path, text, syn::parse_file(text).ok()?)))
}

/// The crate a source belongs to: `hence-log` for `crates/hence-log/src/lib.rs`.
pub(crate) fn crate_of(path: &str) -> Option<&str> {
    path.strip_prefix("crates/")?.split('/').next()
}

/// The line of a byte offset, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}
