//! A file fits in a head: at most 700 lines, and a function at most 70. Tests are exempt.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, ItemMod, TraitItemFn};

use crate::house::{House, is_test_path};
use crate::tidy::{Findings, sources};

const FILE_LINES: usize = 700;
const FUNCTION_LINES: usize = 70;

pub(crate) fn check(house: &House, findings: &mut Findings) {
    for (path, text, file) in sources(house).filter(|(path, ..)| !is_test_path(path)) {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            let message = format!("{lines} lines, the limit is {FILE_LINES}");
            findings.problem(path, 1, message, "cut it along a noun");
        }
        let mut long = LongFunctions::default();
        long.visit_file(&file);
        for (line, name, lines) in long.found {
            let message = format!("`{name}` has {lines} lines, the limit is {FUNCTION_LINES}");
            findings.problem(path, line, message, "name its parts");
        }
    }
}

#[derive(Default)]
struct LongFunctions {
    found: Vec<(usize, String, usize)>,
}

impl LongFunctions {
    fn measure(&mut self, name: &syn::Ident, block: &Block) {
        let line = |span: Span| (span.start().line, span.end().line);
        let (first, _) = line(block.brace_token.span.open());
        let (_, last) = line(block.brace_token.span.close());
        let lines = last - first + 1;
        if lines > FUNCTION_LINES {
            self.found.push((first, name.to_string(), lines));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.measure(&item.sig.ident, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.measure(&item.sig.ident, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig.ident, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }
}

#[cfg(test)]
mod tests;
