//! Every error code has its page, and every page its code: `HN4001` ↔ `docs/errors/HN4001.md`.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::{House, is_test_path};
use crate::tidy::{Findings, markdown};

const SECTIONS: [&str; 3] = ["What", "Why", "Fix"];

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let mut used: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    let in_crates = |path: &str| path.starts_with("crates/") && !is_test_path(path);
    for (path, text) in house.texts(".rs").filter(|(path, _)| in_crates(path)) {
        for (index, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for code in codes(code) {
                used.entry(code).or_insert((path, index + 1));
            }
        }
    }
    let mut pages = BTreeSet::new();
    for (path, text) in house.texts(".md") {
        let Some(name) = path.strip_prefix("docs/errors/") else {
            continue;
        };
        let code = name.trim_end_matches(".md");
        if name == "README.md" {
            continue;
        }
        pages.insert(code.to_owned());
        if !used.contains_key(code) {
            let message = format!("no code uses `{code}`");
            findings.problem(path, 1, message, "remove the page, or use the code");
        }
        check_page(path, text, code, findings);
    }
    for (code, (path, line)) in used.iter().filter(|(code, _)| !pages.contains(*code)) {
        let message = format!("`{code}` has no page");
        findings.problem(path, *line, message, format!("write docs/errors/{code}.md"));
    }
}

fn check_page(path: &str, text: &str, code: &str, findings: &mut Findings) {
    let headings: Vec<_> = markdown::prose(text)
        .filter_map(|(_, line)| markdown::heading(line))
        .collect();
    if !headings.first().is_some_and(|title| title.contains(code)) {
        let message = format!("the title does not name `{code}`");
        findings.problem(path, 1, message, format!("begin with `# {code}: …`"));
    }
    for section in SECTIONS {
        let is_section = |heading: &&str| heading.split_whitespace().next() == Some(section);
        if !headings.iter().any(is_section) {
            let message = format!("no section \"{section}\"");
            findings.problem(path, 1, message, "a page says what, why and how to fix it");
        }
    }
}

/// The codes in a text: `HN` and exactly four digits, not part of a longer word.
fn codes(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| {
            let digits = word.strip_prefix("HN").unwrap_or_default();
            digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
