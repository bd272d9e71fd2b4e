//! `docs/reference/cli.md`, written from the definition of the command line.
//!
//! `HENCE_BLESS=1 cargo test -p hence-server reference` writes it; without the variable the test
//! says whether it is current.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command};

const HEAD: &str = "\
# The command line

One binary, `hence`. Data goes to standard output, messages go to standard error. This page is written from
the definition of the command line: `HENCE_BLESS=1 cargo test -p hence-server reference`.

## Rules

- `--json` writes the objects of the API: one, or one a line for lists and tails. `--plain` writes one
  tab-separated row for each item. Without either, output is for people, and its form may change.
- A token comes from a file of mode 0600 (`--token-file`, `HENCE_TOKEN_FILE`), never from a flag.
- `-` is standard input. `--` ends the flags. No command needs an answer from a person.
- Colours go to terminals only; `NO_COLOR` and `--no-color` turn them off, `FORCE_COLOR` turns them on.

## Exit codes

| Code | Meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | the command line makes no sense |
| 3 | the configuration is not valid |
| 4 | the server cannot be reached, or does not answer |
| 5 | not found |
| 6 | conflict |
| 7 | a check did not pass |
| 8 | refused: token or permission |
| 130, 143 | Ctrl-C, SIGTERM |
| 141 | whoever read the output has gone |

An error is one sentence with its code, the cause and the way out; `hence errors CODE` prints the page. With
`--json` it is one object on standard error.
";

/// The whole page.
fn page(root: &Command) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("\n## Global options\n\n");
    out.push_str("Every command takes them.\n\n");
    table(
        &mut out,
        root.get_arguments().filter(|arg| arg.is_global_set()),
    );
    for command in root.get_subcommands() {
        section(&mut out, command, "hence");
    }
    out
}

fn section(out: &mut String, command: &Command, above: &str) {
    let path = format!("{above} {}", command.get_name());
    if command.get_name() == "help" {
        return;
    }
    if command.has_subcommands() {
        let about = command.get_about().map(ToString::to_string);
        let _ = write!(out, "\n## {path}\n\n{}\n", about.unwrap_or_default());
        for leaf in command.get_subcommands() {
            section(out, leaf, &path);
        }
        return;
    }
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().bin_name(&path).render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(out, "\n## {path}\n\n{about}\n\n```text\n{usage}\n```\n");
    if let Some(examples) = command.get_before_help() {
        let examples = examples.to_string();
        let lines = examples.lines().skip(1).map(str::trim_start);
        let _ = write!(
            out,
            "\n```sh\n{}\n```\n",
            lines.collect::<Vec<_>>().join("\n")
        );
    }
    let own: Vec<_> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && arg.get_id() != "help")
        .collect();
    if !own.is_empty() {
        out.push('\n');
        table(out, own.into_iter());
    }
}

fn table<'a>(out: &mut String, args: impl Iterator<Item = &'a Arg>) {
    out.push_str("| Argument | Meaning |\n|---|---|\n");
    for arg in args {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let mut notes = Vec::new();
        let defaults = arg.get_default_values();
        if !defaults.is_empty()
            && !arg.is_hide_default_value_set()
            && arg.get_action().takes_values()
        {
            let values: Vec<_> = defaults.iter().map(|v| v.to_string_lossy()).collect();
            notes.push(format!("default `{}`", values.join(" ")));
        }
        let words: Vec<_> = arg
            .get_possible_values()
            .iter()
            .filter(|_| arg.get_action().takes_values())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !words.is_empty() {
            notes.push(format!("one of {}", words.join(", ")));
        }
        if let Some(name) = arg.get_env() {
            notes.push(format!("environment `{}`", name.to_string_lossy()));
        }
        let notes = if notes.is_empty() {
            String::new()
        } else {
            format!(" ({})", notes.join("; "))
        };
        let text = format!("{help}{notes}").replace('|', "\\|");
        let _ = writeln!(out, "| `{}` | {text} |", spelling(arg).replace('|', "\\|"));
    }
}

/// `-n, --dry-run`, `--key <KEY>`, `<TYPE>`.
fn spelling(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let value = match names.first() {
        Some(name) if arg.get_action().takes_values() => format!("<{name}>"),
        _ => String::new(),
    };
    let short = arg.get_short().map(|c| format!("-{c}"));
    let long = arg.get_long().map(|name| format!("--{name}"));
    let flags: Vec<_> = short.into_iter().chain(long).collect();
    match (flags.is_empty(), value.is_empty()) {
        (true, _) => value,
        (false, true) => flags.join(", "),
        (false, false) => format!("{} {value}", flags.join(", ")),
    }
}

#[test]
fn reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let mut root = super::definition();
    root.build();
    let wanted = page(&root);
    if std::env::var_os("HENCE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/reference/cli.md is not current: HENCE_BLESS=1 cargo test -p hence-server reference"
    );
}
