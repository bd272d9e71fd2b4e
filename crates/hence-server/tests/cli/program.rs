//! The built program.

use std::process::{Command, Output, Stdio};

/// The program with nothing of this environment, its standard input closed.
pub(crate) fn hence(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hence"));
    for name in [
        "HENCE_SERVER",
        "HENCE_TOKEN_FILE",
        "NO_COLOR",
        "FORCE_COLOR",
    ] {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    finish(&mut hence(args))
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Ran {
    ran(command.output().unwrap())
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Every command that does something, as its words: `["dlq", "ls"]`.
pub(crate) fn leaves() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = run(&args).stdout;
        let below = section(&help, "Commands:");
        let names = below
            .iter()
            .filter_map(|line| line.split_whitespace().next());
        let names: Vec<_> = names.filter(|name| *name != "help").collect();
        if names.is_empty() {
            found.push(path);
            continue;
        }
        for name in names {
            let mut deeper = path.clone();
            deeper.push(name.to_owned());
            open.push(deeper);
        }
    }
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

/// The lines under a heading of a help text, up to the next empty line.
pub(crate) fn section<'a>(help: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}
