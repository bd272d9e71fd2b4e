//! The records are kept: a change log with an "Unreleased" section, decisions without gaps.

use crate::house::House;
use crate::tidy::{Findings, markdown};

const CHANGES: &str = "CHANGELOG.md";
const DECISIONS: &str = "docs/decisions/";
const PARTS: [&str; 4] = ["Context", "Choice", "Cost", "What would change our mind"];

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let headings = |text| {
        markdown::prose(text)
            .filter_map(|(_, line)| markdown::heading(line))
            .collect()
    };
    let sections: Vec<&str> = house.text(CHANGES).map(headings).unwrap_or_default();
    if !sections
        .iter()
        .any(|heading| heading.contains("Unreleased"))
    {
        findings.problem(CHANGES, 1, "no section \"Unreleased\"", "add it at the top");
    }
    let mut decisions: Vec<_> = house
        .texts(".md")
        .filter_map(|(path, text)| Some((path, path.strip_prefix(DECISIONS)?, text)))
        .filter(|(_, name, _)| *name != "README.md")
        .collect();
    decisions.sort_by_key(|(_, name, _)| *name);
    for (index, (path, name, text)) in decisions.into_iter().enumerate() {
        let wanted = format!("{:04}-", index + 1);
        if !name.starts_with(&wanted) {
            let message = format!("decision {wanted}… is missing or taken twice");
            findings.problem(path, 1, message, "number decisions without gaps");
        }
        let parts: Vec<&str> = headings(text);
        for part in PARTS.iter().filter(|part| !parts.contains(part)) {
            let message = format!("no section \"{part}\"");
            findings.problem(path, 1, message, "a decision says all four");
        }
    }
}

#[cfg(test)]
mod tests;
