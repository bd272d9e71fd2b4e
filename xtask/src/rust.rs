//! Rust sources as data: what is test code, which paths are named, where.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, File, Item};

/// A name as written, such as `std::fs::File`, and its line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) path: String,
    pub(crate) line: usize,
    /// Whether parentheses follow: a call, or a pattern.
    pub(crate) called: bool,
}

/// The file without its `#[cfg(test)]` items.
pub(crate) fn without_tests(mut file: File) -> File {
    file.items.retain(|item| !is_test_item(item));
    file
}

/// Only the `#[cfg(test)]` and `#[test]` items of the file.
pub(crate) fn only_tests(mut file: File) -> File {
    file.items.retain(is_test_item);
    file
}

/// Every name in the file, with `use` groups spread out: `use std::{fs, io}` names `std::fs`.
/// Documentation comments name nothing.
pub(crate) fn mentions(file: &File) -> Vec<Mention> {
    let mut found = Vec::new();
    collect(file.to_token_stream(), "", &mut found);
    found
}

/// The line of an item.
pub(crate) fn line(of: &impl syn::spanned::Spanned) -> usize {
    of.span().start().line
}

fn is_test_item(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| {
        let is_cfg_test = attribute.path().is_ident("cfg")
            && attribute.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]";
        is_cfg_test
            || attribute
                .path()
                .segments
                .last()
                .is_some_and(|last| last.ident == "test")
    })
}

fn collect(tokens: TokenStream, prefix: &str, found: &mut Vec<Mention>) {
    let mut path = prefix.to_owned();
    let mut line = 0;
    let mut joining = !prefix.is_empty();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if !joining {
                    flush(&mut path, line, false, found);
                }
                if !path.is_empty() {
                    path.push_str("::");
                }
                path.push_str(&ident.to_string());
                line = ident.span().start().line;
                joining = false;
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons += 1;
                if colons == 2 && punct.spacing() == Spacing::Alone {
                    joining = true;
                }
            }
            TokenTree::Group(group) => {
                if joining && group.delimiter() == Delimiter::Brace {
                    collect(group.stream(), &path, found);
                    path.clear();
                } else {
                    let called = group.delimiter() == Delimiter::Parenthesis;
                    flush(&mut path, line, called, found);
                    collect(group.stream(), "", found);
                }
                joining = false;
                colons = 0;
            }
            TokenTree::Punct(punct) => {
                flush(&mut path, line, false, found);
                joining = punct.as_char() == ',' && !prefix.is_empty();
                if joining {
                    prefix.clone_into(&mut path);
                }
                colons = 0;
            }
            TokenTree::Literal(_) => {
                flush(&mut path, line, false, found);
                joining = false;
            }
        }
    }
    if path != prefix {
        flush(&mut path, line, false, found);
    }
}

fn flush(path: &mut String, line: usize, called: bool, found: &mut Vec<Mention>) {
    if !path.is_empty() && line > 0 {
        found.push(Mention {
            path: std::mem::take(path),
            line,
            called,
        });
    }
    path.clear();
}

#[cfg(test)]
mod tests;
