//! One word per thing: the column "Not" of GLOSSARY.md against the names we declare.
//!
//! Only declarations count, so that `std::fs::Metadata` or an HTTP header may be used freely.
//! A rejected `TypeName` bans types and traits of that exact name that leave their module; a
//! rejected `name()` bans functions. A word in "Not" followed by `in CRATE` is free in that crate.

use syn::visit::{self, Visit};
use syn::{Ident, Visibility};

use crate::house::{House, is_test_path};
use crate::rust;
use crate::tidy::{Findings, crate_of, markdown, sources};

const GLOSSARY: &str = "GLOSSARY.md";
const NO_MODULE: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "managers", "impl", "impls", "misc",
];

/// A rejected word and the word that is used instead.
struct Rejected {
    word: String,
    instead: String,
    free_in: Option<String>,
}

pub(crate) fn check(house: &House, findings: &mut Findings) {
    let rejected = house.text(GLOSSARY).map(rejected).unwrap_or_default();
    if rejected.is_empty() {
        let message = "no table with a column of rejected words";
        findings.problem(GLOSSARY, 1, message, "restore the table");
    }
    for (path, _, file) in sources(house).filter(|(path, ..)| !is_test_path(path)) {
        let mut declared = Declared::default();
        declared.visit_file(&rust::without_tests(file));
        for (name, kind, line) in declared.names {
            if kind == Kind::Module && NO_MODULE.contains(&name.as_str()) {
                let message = format!("module `{name}` says nothing about what is in it");
                findings.problem(path, line, message, "name it after its noun");
            }
            let spelling = if kind == Kind::Function {
                format!("{name}()")
            } else {
                name
            };
            let hit = rejected
                .iter()
                .find(|entry| entry.word == spelling && entry.free_in.as_deref() != crate_of(path));
            if let Some(entry) = hit {
                let message = format!("`{spelling}` is not a word of this house");
                findings.problem(path, line, message, format!("say {}", entry.instead));
            }
        }
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Kind {
    Type,
    Function,
    Module,
}

/// The names a file declares for others to use.
#[derive(Default)]
struct Declared {
    names: Vec<(String, Kind, usize)>,
}

impl Declared {
    fn note(&mut self, ident: &Ident, kind: Kind, visibility: &Visibility) {
        if kind == Kind::Module || !matches!(visibility, Visibility::Inherited) {
            self.names
                .push((ident.to_string(), kind, rust::line(ident)));
        }
    }
}

impl<'ast> Visit<'ast> for Declared {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.note(&item.ident, Kind::Type, &item.vis);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.note(&item.ident, Kind::Type, &item.vis);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.note(&item.ident, Kind::Type, &item.vis);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.note(&item.ident, Kind::Type, &item.vis);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.note(&item.ident, Kind::Type, &item.vis);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig.ident, Kind::Function, &item.vis);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig.ident, Kind::Function, &item.vis);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.note(&item.ident, Kind::Module, &item.vis);
        visit::visit_item_mod(self, item);
    }
}

/// Reads `| word | what it is | not |`.
fn rejected(text: &str) -> Vec<Rejected> {
    let mut found = Vec::new();
    for (_, line) in markdown::prose(text) {
        let Some(cells) = markdown::cells(line) else {
            continue;
        };
        let [word, _, not] = cells.as_slice() else {
            continue;
        };
        for part in not.split(',') {
            let mut spans = markdown::code_spans(part);
            if let Some(rejected) = spans.next() {
                found.push(Rejected {
                    word: rejected.to_owned(),
                    instead: (*word).to_owned(),
                    free_in: spans.next().map(str::to_owned),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
