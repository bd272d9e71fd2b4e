//! A guarantee that a test names exists: `g7_effects_once` ↔ G7 in docs/concepts/guarantees.md.
//! The other way round is a note: a guarantee without a test is work that is left. Nor does the table in
//! that page claim what `cargo xtask guarantees` would not write today.

use std::collections::BTreeSet;

use proc_macro2::TokenTree;

use crate::guarantees::table::{self, Verdict};
use crate::house::{House, is_test_path};
use crate::tidy::{Findings, markdown, sources};

pub(crate) const PAGE: &str = "docs/concepts/guarantees.md";
/// Where the cases of the suite stand: functions that the tests of every engine run by their names.
const CASES: &str = "crates/hence-conformance/src/cases/";

/// A test or a case of the suite that is named after a guarantee.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bearer {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) path: String,
    line: usize,
}

impl Bearer {
    pub(crate) fn is_case(&self) -> bool {
        self.path.starts_with(CASES)
    }
}

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let text = house.text(PAGE).unwrap_or_default();
    let promised: BTreeSet<u32> = promises(text).map(|(number, _)| number).collect();
    if promised.is_empty() {
        findings.problem(
            PAGE,
            1,
            "no numbered guarantees",
            "restore the table of G1 and so on",
        );
    }
    let bearers = bearers(house);
    for bearer in &bearers {
        let number = bearer.number;
        if !promised.contains(&number) {
            findings.problem(
                &bearer.path,
                bearer.line,
                format!("no guarantee G{number}"),
                format!("mend the name, or promise it in {PAGE}"),
            );
        }
    }
    let tested: BTreeSet<u32> = bearers.iter().map(|bearer| bearer.number).collect();
    let open: Vec<_> = promised.difference(&tested).collect();
    if !open.is_empty() {
        let open: Vec<_> = open.iter().map(|number| format!("G{number}")).collect();
        findings.note(format!("no test yet: {}", open.join(" ")));
    }
    check_table(house, &bearers, findings);
}

/// What the page claims must be there. What is there and not claimed yet is a note.
fn check_table(house: &House, bearers: &[Bearer], findings: &mut Findings) {
    const FIX: &str = "run `cargo xtask guarantees`, which runs the tests and writes it";
    let text = house.text(PAGE).unwrap_or_default();
    let verdicts = table::verdicts(text);
    let Some(current) = table::written(house, bearers, &verdicts) else {
        return findings.problem(PAGE, 1, "it has no place for the table", FIX);
    };
    for (number, _) in promises(text) {
        let tested = bearers.iter().any(|bearer| bearer.number == number);
        match verdicts.get(&number) {
            Some(Verdict::Holds) if tested => {}
            Some(Verdict::Untested) if !tested => {}
            _ => {
                let message = format!("G{number}: the last run did not say that it holds");
                findings.problem(PAGE, 1, message, FIX);
            }
        }
        let (said, is) = (table::held(text, number), table::held(&current, number));
        if said.iter().zip(&is).any(|(said, is)| said > is) {
            let message = format!("G{number}: fewer cases hold than it says");
            findings.problem(PAGE, 1, message, FIX);
        }
    }
    let known: BTreeSet<&str> = bearers.iter().map(|bearer| &*bearer.name).collect();
    for name in table::names(text).filter(|name| !known.contains(name)) {
        findings.problem(PAGE, 1, format!("there is no test `{name}`"), FIX);
    }
    if current != text {
        findings.note(format!("{PAGE} is not current: {FIX}"));
    }
}

/// Every test and case that is named after a guarantee, in the order of the numbers.
pub(crate) fn bearers(house: &House) -> Vec<Bearer> {
    let mut found = Vec::new();
    for (path, _, file) in sources(house) {
        let mut names = Functions {
            of_tests: is_test_path(path) || path.starts_with(CASES),
            path,
            found: &mut found,
        };
        syn::visit::Visit::visit_file(&mut names, &file);
    }
    found.sort();
    found
}

/// Number and words of the rows of the table that begin with `**G7**`.
pub(crate) fn promises(text: &str) -> impl Iterator<Item = (u32, &str)> {
    markdown::prose(text).filter_map(|(_, line)| {
        let cells = markdown::cells(line)?;
        let number = cells.first()?.strip_prefix("**G")?.strip_suffix("**")?;
        Some((number.parse().ok()?, *cells.get(1)?))
    })
}

/// Functions named after a guarantee: in test files and among the cases all of them, elsewhere
/// those with `#[test]`.
struct Functions<'a> {
    of_tests: bool,
    path: &'a str,
    found: &'a mut Vec<Bearer>,
}

impl Functions<'_> {
    fn note(&mut self, ident: &proc_macro2::Ident) {
        let name = ident.to_string();
        let number = name.strip_prefix('g').and_then(|rest| rest.split_once('_'));
        if let Some(Ok(number)) = number.map(|(digits, _)| digits.parse()) {
            self.found.push(Bearer {
                number,
                name,
                path: self.path.to_owned(),
                line: crate::rust::line(ident),
            });
        }
    }
}

impl<'ast> syn::visit::Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let marked = item.attrs.iter().any(|attribute| {
            attribute
                .path()
                .segments
                .last()
                .is_some_and(|last| last.ident == "test")
        });
        if marked || self.of_tests {
            self.note(&item.sig.ident);
        }
    }

    /// Tests that a macro makes of functions, one for each engine.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if !self.of_tests {
            return;
        }
        let mut is_name = false;
        for token in call.tokens.clone() {
            let TokenTree::Ident(ident) = token else {
                is_name = false;
                continue;
            };
            if is_name {
                self.note(&ident);
            }
            is_name = ident == "fn";
        }
    }
}

#[cfg(test)]
mod tests;
