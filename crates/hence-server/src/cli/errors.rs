//! `hence errors`: the page of an error code, built into the program.

use serde_json::json;

use super::error::{Fault, Result};
use super::output::{Form, Output};
use super::table::{Side, Table};
use crate::gateway::problem;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence errors HN0209
  hence errors";

/// Shows what an error code means and how to cure it; without a code, lists all.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Errors {
    /// The code, for example `HN0209`.
    code: Option<String>,
}

/// One page of `docs/errors`.
#[derive(Clone, Copy)]
struct Page {
    code: &'static str,
    text: &'static str,
}

macro_rules! pages {
    ($($code:ident)*) => {
        /// The pages of the library, the configuration and the command line; a missing file does
        /// not compile, a missing line here fails a test.
        const PAGES: &[Page] = &[$(Page {
            code: stringify!($code),
            text: include_str!(concat!("../../../../docs/errors/", stringify!($code), ".md")),
        }),*];
    };
}

pages! {
    HN0101 HN0102 HN0103 HN0104 HN0105
    HN0201 HN0202 HN0203 HN0204 HN0205 HN0206 HN0207 HN0208 HN0209 HN0210 HN0211 HN0212 HN0213
    HN0214 HN0215 HN0216 HN0221 HN0222 HN0223
    HN0301
    HN0401 HN0402 HN0403 HN0404
    HN0501 HN0502 HN0503
    HN0601 HN0602 HN0603 HN0604 HN0605 HN0606 HN0607 HN0608 HN0609 HN0610
    HN0611 HN0612 HN0613 HN0614
    HN0901
}

/// Every page: those above, then those of the gateway, whose table has its own.
fn pages() -> impl Iterator<Item = Page> {
    let of_gateway = problem::Code::ALL.iter().map(|code| Page {
        code: code.as_str(),
        text: code.page(),
    });
    PAGES.iter().copied().chain(of_gateway)
}

impl Page {
    /// The first line without the code: `Same id, other content`.
    fn title(&self) -> &'static str {
        let line = self.text.lines().next().unwrap_or_default();
        line.trim_start_matches(['#', ' '])
            .trim_start_matches(self.code)
            .trim_start_matches([':', ' '])
    }
}

impl Errors {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let Some(wanted) = &self.code else {
            return list(out);
        };
        let code = normal(wanted);
        let page = pages().find(|page| page.code == code);
        let page = page.ok_or_else(|| {
            let error = Fault::NOT_FOUND.error(format!("there is no error code '{wanted}'"));
            match near(&code) {
                Some(near) => error.fix(format!("did you mean {near}? `hence errors` lists all")),
                None => error.fix("`hence errors` lists all"),
            }
        })?;
        match out.form() {
            Form::Json => out.json(&object(&page, true)),
            Form::Plain | Form::Human => out.bytes(page.text.as_bytes()),
        }
    }
}

fn list(out: &mut Output) -> Result<()> {
    if out.is_json() {
        for page in pages() {
            out.json(&object(&page, false))?;
        }
        return Ok(());
    }
    let mut table = Table::new([("CODE", Side::Left), ("TITLE", Side::Left)]);
    for page in pages() {
        table.row([page.code.to_owned(), page.title().to_owned()]);
    }
    table.write(out)?;
    out.next("hence errors CODE");
    Ok(())
}

fn object(page: &Page, whole: bool) -> serde_json::Value {
    let (code, title) = (page.code, page.title());
    if whole {
        json!({"code": code, "title": title, "page": page.text})
    } else {
        json!({"code": code, "title": title})
    }
}

/// `hn209`, `HN0209`, `0209` all mean `HN0209`.
fn normal(text: &str) -> String {
    let upper = text.trim().to_ascii_uppercase();
    let digits = upper.trim_start_matches("HN");
    format!("HN{digits:0>4}")
}

/// The code that differs in one character, as late as possible.
fn near(code: &str) -> Option<&'static str> {
    let place = |other: &str| {
        let mut differ = code.bytes().zip(other.bytes()).enumerate();
        let mut differ = differ.by_ref().filter(|(_, (a, b))| a != b);
        let first = differ.next().map(|(place, _)| place);
        first.filter(|_| differ.next().is_none() && code.len() == other.len())
    };
    let codes = pages().map(|page| page.code);
    let near = codes.filter_map(|other| Some((place(other)?, other)));
    near.max().map(|(_, other)| other)
}

#[cfg(test)]
mod tests;
