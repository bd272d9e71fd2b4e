//! A guarantee that a test names exists: `g7_effects_once` ↔ G7 in docs/concepts/guarantees.md.
//! The other way round is a note: a guarantee without a test is work that is left.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::{House, is_test_path};
use crate::tidy::{Findings, markdown, sources};

const PAGE: &str = "docs/concepts/guarantees.md";
/// Where the cases of the suite stand: functions that the tests of every engine run by their names.
const CASES: &str = "crates/hence-conformance/src/cases/";

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let promised = house.text(PAGE).map(promised).unwrap_or_default();
    if promised.is_empty() {
        findings.problem(
            PAGE,
            1,
            "no numbered guarantees",
            "restore the table of G1 and so on",
        );
    }
    let mut tested = BTreeMap::new();
    for (path, _, file) in sources(house) {
        let mut names = Functions {
            of_tests: is_test_path(path) || path.starts_with(CASES),
            found: Vec::new(),
        };
        syn::visit::Visit::visit_file(&mut names, &file);
        for (number, line) in names.found {
            tested.entry(number).or_insert((path, line));
        }
    }
    for (number, (path, line)) in &tested {
        if !promised.contains(number) {
            let message = format!("no guarantee G{number}");
            findings.problem(
                path,
                *line,
                message,
                format!("mend the name, or promise it in {PAGE}"),
            );
        }
    }
    let open: Vec<_> = promised
        .iter()
        .filter(|n| !tested.contains_key(n))
        .map(|n| format!("G{n}"))
        .collect();
    if !open.is_empty() {
        findings.note(format!("no test yet: {}", open.join(" ")));
    }
}

/// The rows of the table that begin with `G7` or `**G7**`.
fn promised(text: &str) -> BTreeSet<u32> {
    markdown::prose(text)
        .filter_map(|(_, line)| {
            let cells = markdown::cells(line)?;
            cells
                .first()?
                .trim_matches('*')
                .strip_prefix('G')?
                .parse()
                .ok()
        })
        .collect()
}

/// Functions named after a guarantee: in test files and among the cases all of them, elsewhere those with `#[test]`.
struct Functions {
    of_tests: bool,
    found: Vec<(u32, usize)>,
}

impl<'ast> syn::visit::Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let marked = item.attrs.iter().any(|attribute| {
            attribute
                .path()
                .segments
                .last()
                .is_some_and(|last| last.ident == "test")
        });
        let name = item.sig.ident.to_string();
        let number = name.strip_prefix('g').and_then(|rest| rest.split_once('_'));
        if let Some(Ok(number)) = number.map(|(digits, _)| digits.parse())
            && (marked || self.of_tests)
        {
            self.found
                .push((number, crate::rust::line(&item.sig.ident)));
        }
    }
}

#[cfg(test)]
mod tests;
