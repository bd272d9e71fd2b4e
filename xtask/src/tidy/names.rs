//! The root of the crate `hence` is what a user needs on the first day: at most 24 names, modules aside.

use std::collections::BTreeSet;

use syn::{Item, UseTree, Visibility};

use crate::house::House;
use crate::rust::without_tests;
use crate::tidy::{Findings, sources};

const ROOT: &str = "crates/hence/src/lib.rs";
const SOURCES: &str = "crates/hence/src/";
const NAMES: usize = 24;

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let mut names = BTreeSet::new();
    for (path, _, file) in sources(house).filter(|(path, ..)| path.starts_with(SOURCES)) {
        for item in without_tests(file).items {
            match item {
                // Wherever it is written, it stands at the root.
                Item::Macro(item)
                    if item.attrs.iter().any(|a| a.path().is_ident("macro_export")) =>
                {
                    names.extend(item.ident.map(|name| name.to_string()));
                }
                Item::Use(item) if path == ROOT && is_public(&item.vis) => {
                    collect(&item.tree, "", house, &mut names);
                }
                item if path == ROOT => names.extend(defined(&item)),
                _ => {}
            }
        }
    }
    if names.len() > NAMES {
        let list = names
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!(
            "{} names at the root, the limit is {NAMES}: {list}",
            names.len()
        );
        findings.problem(
            ROOT,
            1,
            message,
            "move what is not for the first day to a module",
        );
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The name of a public item that is written at the root, unless it is a module.
fn defined(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        Item::Static(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    is_public(visibility).then(|| name.to_string())
}

/// The names that a `pub use` brings, without those of crates and modules.
fn collect(tree: &UseTree, path: &str, house: &House, names: &mut BTreeSet<String>) {
    let below = |name: &syn::Ident| match path {
        "" => name.to_string(),
        path => format!("{path}/{name}"),
    };
    match tree {
        UseTree::Path(one) => collect(&one.tree, &below(&one.ident), house, names),
        UseTree::Group(group) => {
            group
                .items
                .iter()
                .for_each(|one| collect(one, path, house, names));
        }
        UseTree::Name(one) if !is_module(house, &below(&one.ident)) => {
            names.insert(one.ident.to_string());
        }
        UseTree::Rename(one) if !is_module(house, &below(&one.ident)) => {
            names.insert(one.rename.to_string());
        }
        // How many these are, only the compiler knows.
        UseTree::Glob(_) => names.extend((0..=NAMES).map(|number| format!("{path}/*{number}"))),
        UseTree::Name(_) | UseTree::Rename(_) => {}
    }
}

/// Whether a path is a crate, or a module of this one.
fn is_module(house: &House, path: &str) -> bool {
    let file = format!("{SOURCES}{path}.rs");
    let is_there = |wanted: &str| house.texts(".rs").any(|(path, _)| path == wanted);
    !path.contains('/') || is_there(&file) || is_there(&format!("{SOURCES}{path}/mod.rs"))
}

#[cfg(test)]
mod tests;
