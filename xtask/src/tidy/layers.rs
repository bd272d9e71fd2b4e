//! Who imports whom: the table under "Who imports whom" in ARCHITECTURE.md against the manifests.
//!
//! A row is `| layer | crates | may import | in tests also |`. A crate is a name, a name ending in
//! `*`, or a folder ending in `/`. Whatever the table does not allow fails.

use crate::house::{House, Package};
use crate::tidy::{Findings, markdown};

const TABLE: &str = "ARCHITECTURE.md";
const FIX: &str = "remove the edge, or argue for a new row in ARCHITECTURE.md";

struct Row {
    line: usize,
    crates: Vec<String>,
    imports: Vec<String>,
    in_tests: Vec<String>,
}

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let rows = house.text(TABLE).map(rows).unwrap_or_default();
    if rows.is_empty() {
        findings.problem(
            TABLE,
            1,
            "no table of who imports whom",
            "restore the table",
        );
        return;
    }
    let members: Vec<_> = house.members().collect();
    for package in &members {
        check_package(package, &members, &rows, findings);
    }
    for row in &rows {
        for name in row.crates.iter().filter(|name| !name.ends_with(['*', '/'])) {
            if !members.iter().any(|package| package.name == *name) {
                let message = format!("`{name}` has a row and does not exist");
                findings.problem(TABLE, row.line, message, "remove the row");
            }
        }
    }
}

fn check_package(package: &Package, members: &[&Package], rows: &[Row], findings: &mut Findings) {
    let manifest = format!(
        "{}/Cargo.toml",
        package.folder.as_deref().unwrap_or_default()
    );
    let Some(row) = rows.iter().find(|row| matches(&row.crates, package)) else {
        let message = format!("`{}` has no row in {TABLE}", package.name);
        findings.problem(&manifest, 1, message, "give it a layer");
        return;
    };
    for edge in &package.dependencies {
        let Some(target) = members.iter().find(|member| member.name == edge.name) else {
            continue; // a foreign crate: the check `dependencies` looks at it
        };
        let allowed = matches(&row.imports, target)
            || edge.in_tests_only && matches(&row.in_tests, target)
            || edge.in_tests_only && target.name == package.name;
        if !allowed {
            let message = format!("`{}` imports `{}`", package.name, edge.name);
            findings.problem(&manifest, 1, message, FIX);
        }
    }
}

fn matches(names: &[String], package: &Package) -> bool {
    let folder = format!("{}/", package.folder.as_deref().unwrap_or_default());
    names.iter().any(|name| match name.strip_suffix('*') {
        Some(start) => package.name.starts_with(start),
        None if name.ends_with('/') => folder.starts_with(name),
        None => package.name == *name,
    })
}

fn rows(text: &str) -> Vec<Row> {
    let names = |cell: &str| {
        markdown::code_spans(cell)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let is_start = |line: &str| markdown::heading(line).is_some_and(|h| h == "Who imports whom");
    markdown::prose(text)
        .skip_while(|(_, line)| !is_start(line))
        .skip(1)
        .take_while(|(_, line)| markdown::heading(line).is_none())
        .filter_map(|(line, row)| match markdown::cells(row)?.as_slice() {
            [_, crates, imports, in_tests] => Some(Row {
                line,
                crates: names(crates),
                imports: names(imports),
                in_tests: names(in_tests),
            }),
            _ => None,
        })
        .filter(|row| !row.crates.is_empty())
        .collect()
}

#[cfg(test)]
mod tests;
