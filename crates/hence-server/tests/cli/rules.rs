//! The rules that hold for every command.

use std::process::Stdio;

use crate::program::{finish, hence, leaves, run, section};

fn words(leaf: &[String], more: &[&'static str]) -> Vec<String> {
    let more = more.iter().map(|word| (*word).to_owned());
    leaf.iter().cloned().chain(more).collect()
}

fn run_words(words: &[String]) -> crate::program::Ran {
    run(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn help_is_everywhere_and_begins_with_examples() {
    for leaf in leaves() {
        for flag in ["-h", "--help"] {
            let help = run_words(&words(&leaf, &[flag]));
            assert_eq!(
                (help.code, help.stderr.as_str()),
                (0, ""),
                "{leaf:?} {flag}"
            );
            assert!(
                help.stdout.starts_with("Examples:\n"),
                "{leaf:?}: {}",
                help.stdout
            );
            let path = format!("hence {}", leaf.join(" "));
            let examples = section(&help.stdout, "Examples:");
            assert!(!examples.is_empty(), "{leaf:?}");
            for example in examples {
                assert!(example.trim().starts_with(&path), "{leaf:?}: {example}");
            }
            let page = format!("Page: docs/reference/cli.md#hence-{}", leaf.join("-"));
            assert!(help.stdout.contains(&page), "{leaf:?}: {}", help.stdout);
            assert!(!help.stdout.contains('\x1b'), "{leaf:?}");
        }
    }
}

#[test]
fn every_command_stands_in_the_reference() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
    let page = std::fs::read_to_string(page).unwrap();
    for leaf in leaves() {
        let heading = format!("\n## hence {}\n", leaf.join(" "));
        assert!(page.contains(&heading), "{leaf:?}");
    }
}

#[test]
fn without_arguments_there_is_short_help() {
    for args in [&[][..], &["dlq"], &["log"]] {
        let ran = run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        assert!(ran.stderr.starts_with("Examples:"), "{}", ran.stderr);
    }
}

#[test]
fn a_typing_error_gets_a_suggestion_and_runs_nothing() {
    for (args, wanted) in [
        (&["pubish"][..], "publish"),
        (&["dlq", "lst"], "ls"),
        (&["tail", "--formt", "x"], "--format"),
        (&["graph", "--format", "mermiad"], "mermaid"),
        // An abbreviation is a typing error too.
        (&["pub", "a.b"], "publish"),
    ] {
        let ran = run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        assert!(ran.stderr.contains(wanted), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn wrong_use_exits_with_2() {
    for args in [
        &["publish"][..],
        &["publish", "a.b", "{a:1}"],
        &["publish", "a.b", "@/no/such/file"],
        &["publish", "a.b", "--attr", "A=1"],
        &["publish", "a.b", "--delay", "10"],
        &[
            "publish",
            "a.b",
            "--delay",
            "1s",
            "--at",
            "2030-01-01T00:00:00Z",
        ],
        &["publish", "a.b", "--lines", "--id", "1"],
        &["publish", "a.b", "--rate", "0"],
        &["publish", "a.b", "--durability", "solid"],
        &["publish", "a.b", "-", "--token-file", "-"],
        &["tail", "or*er"],
        &["tail", "--since", "soon"],
        &["tail", "--count", "0"],
        &["tail", "--format", "%x"],
        &["dlq", "redrive"],
        &["dlq", "redrive", "a.1", "--all"],
        &["dlq", "redrive", "a.1", "--key", "k"],
        &["dlq", "redrive", "--all", "--rate", "0"],
        &["dlq", "discard", "a.1"],
        &["dlq", "discard", "--reason", "x"],
        &["dlq", "edit", "a.1"],
        &["dlq", "edit", "a.1", "{a:1}"],
        &["dlq", "ls", "--since", "soon"],
        &["jobs", "show"],
        &["replay", "--from", "1"],
        &["replay", "--to-handler", "a"],
        &["replay", "--to-handler", "a", "--from", "soon"],
        &[
            "replay",
            "--to-handler",
            "a",
            "--from",
            "1",
            "--to",
            "earliest",
        ],
        &["get"],
        &["trace", "1", "--up", "--down"],
        &["status", "--json", "--plain"],
        &["status", "--timeout", "5"],
        &["status", "--server", "https://example.org"],
        &["status", "--server", "ftp://example.org"],
        &["completion", "tcl"],
        &["log", "check"],
        &["log", "stat", "a", "b"],
        &["log", "salvage", "a"],
        &["log", "rebuild", "a", "--from", "1"],
    ] {
        let ran = run(args);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (2, ""),
            "{args:?}: {ran:?}"
        );
        assert!(ran.stderr.starts_with("error:"), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn what_needs_no_server_works_without_one() {
    let version = run(&["version", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&version.stdout).unwrap();
    assert_eq!(object["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        run(&["--version"]).stdout.trim(),
        concat!("hence ", env!("CARGO_PKG_VERSION"))
    );

    let page = run(&["errors", "HN0209"]);
    assert!(page.stdout.starts_with("# HN0209"), "{}", page.stdout);
    let list = run(&["errors", "--plain"]);
    assert!(
        list.stdout
            .lines()
            .all(|line| line.split('\t').count() == 2)
    );
    for line in run(&["errors", "--json"]).stdout.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(object["title"].is_string(), "{line}");
    }
    let unknown = run(&["errors", "HN0219"]);
    assert_eq!(unknown.code, 5);
    assert!(
        unknown.stderr.contains("did you mean"),
        "{}",
        unknown.stderr
    );

    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completion", shell]);
        assert_eq!(script.code, 0, "{shell}");
        assert!(script.stdout.contains("redrive"), "{shell}");
    }
    let marks = run(&["tail", "--format", "help"]);
    assert!(marks.stdout.contains("%a{name}"), "{}", marks.stdout);
}

#[test]
fn an_error_has_a_sentence_a_code_a_fix_and_a_page() {
    let ran = run(&["publish", "a.b", "{a:1}"]);
    let lines: Vec<_> = ran.stderr.lines().collect();
    assert_eq!(lines[0], "error: DATA is not JSON (HN0606)");
    assert!(lines[1].starts_with("  cause: "), "{}", ran.stderr);
    assert!(lines[2].starts_with("  fix:   "), "{}", ran.stderr);
    assert_eq!(lines[3], "  page:  hence errors HN0606");

    let ran = run(&["publish", "a.b", "{a:1}", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(
        (&object["code"], &object["exit"]),
        (&"HN0606".into(), &2.into())
    );
}

#[test]
fn colours_follow_the_rules() {
    let plain = finish(hence(&["errors"]).env("TERM", "xterm"));
    assert!(!plain.stdout.contains('\x1b'));
    let forced = finish(hence(&["errors"]).env("FORCE_COLOR", "1"));
    assert!(forced.stdout.contains('\x1b'));
    let refused = finish(hence(&["errors", "--no-color"]).env("FORCE_COLOR", "1"));
    assert!(!refused.stdout.contains('\x1b'));
    let refused = finish(
        hence(&["errors"])
            .env("FORCE_COLOR", "1")
            .env("NO_COLOR", "1"),
    );
    assert!(!refused.stdout.contains('\x1b'));
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for args in [
        &["completion", "bash"][..],
        &["errors"],
        &["version", "--json"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = hence(args);
        command.stdout(writer).stderr(Stdio::piped());
        let ran = crate::program::ran(command.spawn().unwrap().wait_with_output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (141, ""), "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_token_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "secret-text\n").unwrap();
    let with_mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).unwrap();
        finish(hence(&["status", "--server", "http://127.0.0.1:1"]).env("HENCE_TOKEN_FILE", &path))
    };
    for mode in [0o644, 0o640, 0o604, 0o666] {
        let ran = with_mode(mode);
        assert_eq!(ran.code, 8, "{mode:o}: {}", ran.stderr);
        assert!(ran.stderr.contains("HN0604") && ran.stderr.contains("chmod 600"));
        assert!(!ran.stderr.contains("secret-text"));
    }
    assert_eq!(
        with_mode(0o600).code,
        4,
        "a file of our own is taken, and nobody listens"
    );
    std::fs::write(&path, "").unwrap();
    assert_eq!(with_mode(0o600).code, 8, "an empty file holds no token");
}

#[test]
fn a_rate_is_a_number() {
    for rate in ["nan", "inf", "many"] {
        // Nothing could listen there, so that a rate which passes ends in another error.
        let ran = run(&["dev", "--rate", rate, "--listen", "192.0.2.1:1"]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("zero or more"), "{}", ran.stderr);
    }
}
