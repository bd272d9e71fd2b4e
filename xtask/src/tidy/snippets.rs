//! What the README shows compiles: each of its `rust` blocks is a doctest of the crate `hence`.
//!
//! A block that cannot stand alone says `rust,ignore`, and is prose.

use crate::house::House;
use crate::tidy::Findings;

const PAGE: &str = "README.md";
const LIBRARY: &str = "crates/hence/src/lib.rs";

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let (Some(page), Some(library)) = (house.text(PAGE), house.text(LIBRARY)) else {
        return;
    };
    let tested: Vec<_> = blocks(&documentation(library)).collect();
    for (line, mark, block) in blocks(page).filter(|(_, mark, _)| mark == "rust") {
        let is_tested = tested.iter().any(|(_, mark, doctest)| {
            let compiles = mark.is_empty() || ["rust", "no_run"].contains(&mark.as_str());
            compiles && *doctest == block
        });
        if !is_tested {
            let message = format!("this `{mark}` block is no doctest of {LIBRARY}");
            findings.problem(PAGE, line, message, "show what is tested, word for word");
        }
    }
}

/// The crate's documentation as Markdown, without the lines that rustdoc hides.
fn documentation(source: &str) -> String {
    let lines = source.lines().filter_map(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let shown = lines.filter(|line| *line != "#" && !line.starts_with("# "));
    shown.collect::<Vec<_>>().join("\n")
}

/// The fenced blocks of a text: line, mark, content.
fn blocks(text: &str) -> impl Iterator<Item = (usize, String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, Vec<&str>)> = None;
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(mark), None) => open = Some((index + 1, mark.trim().to_owned(), Vec::new())),
            (Some(_), Some((start, mark, lines))) => found.push((start, mark, lines.join("\n"))),
            (None, Some((start, mark, mut lines))) => {
                lines.push(line.trim_end());
                open = Some((start, mark, lines));
            }
            (None, None) => {}
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests;
