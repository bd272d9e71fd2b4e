//! Nothing of the workbench stays behind: no paths of a machine, no marks of unfinished work.

use crate::house::House;
use crate::tidy::{Findings, line_at};

/// This check and its tests have to name what they look for.
const OWN: &str = "xtask/src/tidy/leftovers";

const MACHINE_PATHS: &[&str] = &["/work/", "/root/", "/home/", "/Users/"];
const MARKS: &[&str] = &["FIXME", "XXX", "TODO", "todo!", "unimplemented!", "HACK"];

pub(crate) fn check(house: &House, findings: &mut Findings) {
    for file in house
        .files
        .iter()
        .filter(|file| !file.path.starts_with(OWN))
    {
        let Some(text) = &file.text else {
            continue;
        };
        for (pattern, offset) in machine_paths(text) {
            let message = format!("a path of one machine: `{pattern}`");
            findings.problem(
                &file.path,
                line_at(text, offset),
                message,
                "say it relatively",
            );
        }
        for (pattern, offset) in marks(text) {
            let message = format!("unfinished work: `{pattern}`");
            let fix = "finish it, or write an issue";
            findings.problem(&file.path, line_at(text, offset), message, fix);
        }
    }
}

/// Absolute paths only: `/work/` counts, `docs/work/` does not.
fn machine_paths(text: &str) -> impl Iterator<Item = (&'static str, usize)> {
    let is_start = |offset: usize| {
        let before = text.get(..offset).unwrap_or_default().chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '>'))
    };
    MACHINE_PATHS.iter().flat_map(move |pattern| {
        text.match_indices(pattern)
            .filter(move |(offset, _)| is_start(*offset))
            .map(|(offset, _)| (*pattern, offset))
    })
}

/// Whole words only, so that a placeholder such as `XXXXXX` passes.
fn marks(text: &str) -> impl Iterator<Item = (&'static str, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    MARKS.iter().flat_map(move |mark| {
        text.match_indices(mark)
            .filter(move |(offset, _)| {
                let before = text.get(..*offset).unwrap_or_default().chars().next_back();
                let after = text
                    .get(offset + mark.len()..)
                    .unwrap_or_default()
                    .chars()
                    .next();
                let open_end = mark.ends_with('!') || !after.is_some_and(is_word);
                !before.is_some_and(is_word) && open_end
            })
            .map(|(offset, _)| (*mark, offset))
    })
}

#[cfg(test)]
mod tests;
