use std::collections::BTreeSet;
use std::path::Path;

use super::*;

#[test]
fn every_file_is_a_page_and_every_code_has_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let files = std::fs::read_dir(folder).unwrap();
    let files: BTreeSet<String> = files
        .filter_map(|file| file.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    let built_in: BTreeSet<String> = pages().map(|page| page.code.to_owned()).collect();
    assert_eq!(files, built_in);
    let core = hence::core::Code::ALL
        .iter()
        .map(|code| (code.as_str(), code.title()));
    let own = Fault::ALL.iter().map(|fault| (fault.code, fault.title));
    for (code, title) in core.chain(own) {
        let page = pages().find(|page| page.code == code);
        assert_eq!(page.as_ref().map(Page::title), Some(title), "{code}");
    }
}

#[test]
fn every_page_says_what_why_and_fix() {
    for page in pages() {
        let heads = page
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("## "));
        let heads: Vec<_> = heads.filter_map(|head| head.split(' ').next()).collect();
        assert_eq!(heads, ["What", "Why", "Fix"], "{}", page.code);
    }
}

#[test]
fn a_code_may_be_written_carelessly() {
    for text in ["hn0209", "0209", "HN209", " HN0209 "] {
        assert_eq!(normal(text), "HN0209");
    }
    assert_eq!(near("HN0302"), Some("HN0301"));
    assert_eq!(near("HN7777"), None);
}
