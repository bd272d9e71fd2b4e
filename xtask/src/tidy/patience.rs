//! Tests are neither skipped nor slow: no `#[ignore]`, no example that is not compiled, no sleeping.
//!
//! A test that waits for something waits for that thing: a channel, a condition, a paused clock.
//! Under a paused clock `tokio::time::sleep` costs nothing, so a file that pauses it may sleep.

use crate::house::{House, is_test_path};
use crate::rust;
use crate::tidy::{Findings, sources};

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let is_program = |path: &str| path.starts_with("examples/") || path.starts_with("benches/");
    for (path, text, file) in sources(house).filter(|(path, ..)| !is_program(path)) {
        for (index, line) in text.lines().enumerate() {
            let comment = line.trim_start();
            let fence = comment
                .strip_prefix("///")
                .or_else(|| comment.strip_prefix("//!"));
            let fence = fence.and_then(|rest| rest.trim_start().strip_prefix("```"));
            if fence.is_some_and(|words| words.split(',').any(|word| word.trim() == "ignore")) {
                let message = "an example that is not compiled";
                findings.problem(path, index + 1, message, "compile it, or call it `text`");
            }
        }
        let tests = if is_test_path(path) {
            file
        } else {
            rust::only_tests(file)
        };
        let paused = ["start_paused = true", "start_paused(true)", "time::pause()"]
            .iter()
            .any(|sign| text.contains(sign));
        for mention in rust::mentions(&tests) {
            if mention.path == "ignore" && is_attribute(text, mention.line) {
                let message = "an ignored test proves nothing";
                findings.problem(path, mention.line, message, "make it run, or remove it");
            }
            let sleeps = mention.path == "sleep" || mention.path.ends_with("::sleep");
            let virtual_time = paused && !mention.path.ends_with("thread::sleep");
            if mention.called && sleeps && !virtual_time {
                let message = "a test sleeps";
                let fix = "wait for the event itself, or pause the clock";
                findings.problem(path, mention.line, message, fix);
            }
        }
    }
}

fn is_attribute(text: &str, line: usize) -> bool {
    let line = text.lines().nth(line - 1).unwrap_or_default();
    line.contains("#[ignore") || line.contains("#[cfg_attr") && line.contains("ignore")
}

#[cfg(test)]
mod tests;
