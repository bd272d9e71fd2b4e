//! No dead links in the documents: relative files exist, and so do the headings they point at.

use std::collections::BTreeSet;

use crate::house::House;
use crate::tidy::{Findings, markdown};

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let files: BTreeSet<&str> = house.files.iter().map(|file| file.path.as_str()).collect();
    for (path, text) in house.texts(".md") {
        for (line, link) in links(text) {
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            if target.contains(':') || target.starts_with("//") {
                continue; // another host
            }
            let Some(file) = resolve(path, target) else {
                findings.problem(
                    path,
                    line,
                    format!("`{link}` leaves the repository"),
                    "link inside",
                );
                continue;
            };
            let folder = format!("{file}/");
            let is_folder = file.is_empty() || files.iter().any(|path| path.starts_with(&folder));
            if !files.contains(file.as_str()) && !is_folder {
                let message = format!("dead link: `{link}`");
                findings.problem(path, line, message, "write the page, or mend the link");
            } else if !anchor.is_empty() && file.ends_with(".md") {
                let known = house
                    .text(&file)
                    .is_some_and(|text| anchors(text).contains(anchor));
                if !known {
                    let message = format!("no heading for `#{anchor}` in {file}");
                    findings.problem(path, line, message, "mend the anchor");
                }
            }
        }
    }
}

/// The targets of `[text](target)`, `[name]: target`, `href="target"` and `src="target"`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in markdown::prose(text) {
        let line = markdown::without_code(line);
        let inline = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', ' ']).next());
        let quoted = ["href=\"", "src=\""].into_iter().flat_map(|mark| {
            line.split(mark)
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
        });
        let named = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "));
        let named = named.and_then(|(_, rest)| rest.split_whitespace().next());
        for link in inline.chain(quoted).chain(named) {
            found.push((number, link.trim_matches(['<', '>']).to_owned()));
        }
    }
    found
}

/// The path that `target` means when it stands in the file `from`; nothing when it climbs out.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a document; a repeated heading gets `-1`, `-2` and so on.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for heading in markdown::prose(text).filter_map(|(_, line)| markdown::heading(line)) {
        let anchor = markdown::anchor(heading);
        let again = (1..).map(|n| format!("{anchor}-{n}"));
        if let Some(free) = std::iter::once(anchor.clone())
            .chain(again)
            .find(|anchor| !known.contains(anchor))
        {
            known.insert(free);
        }
    }
    for (_, line) in markdown::prose(text) {
        for mark in ["id=\"", "name=\""] {
            let ids = line
                .split(mark)
                .skip(1)
                .filter_map(|rest| rest.split('"').next());
            known.extend(ids.map(str::to_owned));
        }
    }
    known
}

#[cfg(test)]
mod tests;
