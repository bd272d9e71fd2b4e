use super::*;

fn paths(source: &str) -> Vec<String> {
    let file = syn::parse_file(source).unwrap();
    mentions(&file)
        .into_iter()
        .map(|mention| mention.path)
        .collect()
}

#[test]
fn use_groups_are_spread_out() {
    let found = paths("use std::{fs, io::{self, Read}, net::TcpStream as Door};");
    assert!(found.contains(&"std::fs".to_owned()), "{found:?}");
    assert!(found.contains(&"std::io::Read".to_owned()), "{found:?}");
    assert!(
        found.contains(&"std::net::TcpStream".to_owned()),
        "{found:?}"
    );
}

#[test]
fn calls_are_told_from_mentions() {
    let file = syn::parse_file("fn f() { tokio::time::sleep(x).await; let sleep = 1; }").unwrap();
    let called: Vec<_> = mentions(&file)
        .into_iter()
        .filter(|mention| mention.called)
        .collect();
    assert!(
        called
            .iter()
            .any(|mention| mention.path == "tokio::time::sleep"),
        "{called:?}"
    );
    assert!(
        called.iter().all(|mention| mention.path != "sleep"),
        "{called:?}"
    );
}

#[test]
fn types_after_a_single_colon_stand_alone() {
    let found = paths("fn f(a: std::time::Instant, b: Vec<u8>) {}");
    assert!(
        found.contains(&"std::time::Instant".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"Vec".to_owned()), "{found:?}");
}

#[test]
fn test_items_are_separated() {
    let source = "fn a() {} #[cfg(test)] mod t { fn b() {} } #[test] fn c() {}";
    let file = || syn::parse_file(source).unwrap();
    assert_eq!(without_tests(file()).items.len(), 1);
    assert_eq!(only_tests(file()).items.len(), 2);
}

#[test]
fn comments_name_nothing() {
    assert!(!paths("/// unsafe here\nfn f() {}").contains(&"unsafe".to_owned()));
}
