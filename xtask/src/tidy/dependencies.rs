//! Foreign code: licences, banned crates and sources, as `deny.toml` lists them.
//!
//! `cargo deny` reads the same file and adds the advisory database. This check needs no network
//! and no installation, so the lists hold on every machine.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::house::{House, Package};
use crate::tidy::Findings;

const RULES: &str = "deny.toml";
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let rules: Option<Table> = house.text(RULES).and_then(|text| text.parse().ok());
    let Some(rules) = rules else {
        findings.problem(RULES, 1, "missing, or not TOML", "restore the file");
        return;
    };
    check_licences(house, &strings(&rules, "licenses", "allow"), findings);
    check_bans(house, &rules, findings);
    check_sources(house, findings);
    note_duplicates(house, findings);
}

fn check_licences(house: &House, allowed: &BTreeSet<String>, findings: &mut Findings) {
    for package in &house.packages {
        let Some(licence) = &package.licence else {
            let message = format!("`{}` states no licence", package.name);
            findings.problem(RULES, 1, message, "replace the crate");
            continue;
        };
        if !is_allowed(licence, allowed) {
            let message = format!("`{}` is under {licence}", package.name);
            findings.problem(
                RULES,
                1,
                message,
                "replace the crate, or argue for the licence",
            );
        }
    }
}

fn check_bans(house: &House, rules: &Table, findings: &mut Findings) {
    let bans = rules
        .get("bans")
        .and_then(|bans| bans.get("deny"))
        .and_then(Value::as_array);
    for ban in bans.into_iter().flatten() {
        let Some(name) = ban.get("crate").and_then(Value::as_str) else {
            findings.problem(RULES, 1, format!("no `crate` in {ban}"), "name the crate");
            continue;
        };
        if !house.packages.iter().any(|package| package.name == name) {
            continue;
        }
        let wrappers = ban.get("wrappers").and_then(Value::as_array);
        let wrappers: Vec<_> = wrappers
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let uses = |package: &&Package| package.dependencies.iter().any(|edge| edge.name == name);
        for user in house.packages.iter().filter(uses) {
            if !wrappers.contains(&user.name.as_str()) {
                let message = format!("`{}` brings in `{name}`, which is banned", user.name);
                findings.problem(RULES, 1, message, "see the reason beside the ban");
            }
        }
    }
    for package in house.members() {
        for edge in package
            .dependencies
            .iter()
            .filter(|edge| edge.requirement == "*")
        {
            if !house.members().any(|member| member.name == edge.name) {
                let message = format!("`{}` takes any version of `{}`", package.name, edge.name);
                findings.problem(
                    RULES,
                    1,
                    message,
                    "state the version in the workspace table",
                );
            }
        }
    }
}

fn check_sources(house: &House, findings: &mut Findings) {
    for package in &house.packages {
        if package
            .source
            .as_deref()
            .is_some_and(|source| source != REGISTRY)
        {
            let message = format!("`{}` does not come from the public registry", package.name);
            findings.problem(RULES, 1, message, "use a released version");
        }
    }
}

fn note_duplicates(house: &House, findings: &mut Findings) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &house.packages {
        versions
            .entry(&package.name)
            .or_default()
            .insert(&package.version);
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let list: Vec<_> = versions.iter().copied().collect();
        findings.note(format!(
            "{} versions of `{name}`: {}",
            list.len(),
            list.join(", ")
        ));
    }
}

fn strings(rules: &Table, section: &str, key: &str) -> BTreeSet<String> {
    let list = rules
        .get(section)
        .and_then(|section| section.get(key))
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met with the allowed licences. `/` is an old way to say OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, allowed);
    while take(words, "OR") {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut met = single(words, allowed);
    while take(words, "AND") {
        met &= single(words, allowed);
    }
    met
}

fn single(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    if take(words, "(") {
        let met = any_of(words, allowed);
        return take(words, ")") && met;
    }
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    let mut licence = (*first).to_owned();
    if take(words, "WITH")
        && let Some((exception, rest)) = words.split_first()
    {
        *words = rest;
        licence = format!("{licence} WITH {exception}");
    }
    allowed.contains(&licence)
}

fn take(words: &mut &[&str], word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
