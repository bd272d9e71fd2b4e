//! Other languages talk to the built binary: `tests/interop/NAME/run`.
//!
//! A script gets `HENCE_BIN`, a Python with the packages of `requirements.txt` first on its
//! `PATH`, and Node packages of `package.json` on `NODE_PATH`. It ends with 0 when all went well
//! and with 77 when it could not run, the reason on its last line. On a CI machine 77 fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use super::{Tally, Workshop, process};

const FOLDER: &str = "tests/interop";
const NOT_COVERED: i32 = 77;
const LIMIT: Duration = Duration::from_secs(300);

pub(super) fn run(workshop: &Workshop) -> Result<Tally> {
    let scripts = scripts(&workshop.root.join(FOLDER))?;
    if scripts.is_empty() {
        let reason = format!("interop: there is no {FOLDER}/*/run");
        return Ok(Tally {
            not_covered: vec![reason],
            ..Tally::default()
        });
    }
    let mut command = Command::new(crate::house::cargo());
    command
        .current_dir(&workshop.root)
        .args(["build", "--quiet", "--package", "hence-server"]);
    ensure!(command.status()?.success(), "the binary does not build");

    let mut tally = Tally::default();
    let place = Place::prepare(workshop, &mut tally)?;
    for script in scripts {
        let name = script
            .parent()
            .unwrap_or(&script)
            .strip_prefix(&workshop.root)?;
        tally.add(run_script(
            workshop,
            &place,
            &script,
            &name.display().to_string(),
        )?);
    }
    Ok(tally)
}

fn scripts(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in entries {
        let script = entry?.path().join("run");
        if script.is_file() {
            found.push(script);
        }
    }
    found.sort();
    Ok(found)
}

fn run_script(workshop: &Workshop, place: &Place, script: &Path, name: &str) -> Result<Tally> {
    let mut command = Command::new(script);
    command.current_dir(script.parent().context("a script stands in a folder")?);
    command
        .env("HENCE_BIN", &place.binary)
        .env("NODE_PATH", &place.node_path);
    command.env("PATH", &place.path);
    let ended = process::run(&mut command, LIMIT)?;
    print!("{}", ended.output);
    let code = ended.status.and_then(|status| status.code());
    Ok(match code {
        Some(0) => {
            println!("{name} ... ok");
            Tally::one(true)
        }
        Some(NOT_COVERED) => {
            let reason = ended.output.lines().last().unwrap_or("no reason given");
            println!("{name} ... not covered: {reason}");
            not_covered(workshop, format!("{name}: {reason}"))
        }
        code => {
            let how = code.map_or("it was killed".to_owned(), |code| {
                format!("it ended with {code}")
            });
            println!("{name} ... FAILED: {how}");
            Tally::failure(name)
        }
    })
}

/// On a developer's machine a gap is told; on a CI machine it fails.
fn not_covered(workshop: &Workshop, reason: String) -> Tally {
    let failed = usize::from(workshop.is_ci);
    Tally {
        failed,
        not_covered: vec![reason],
        ..Tally::default()
    }
}

/// Where the scripts find the binary and the packages of their languages.
struct Place {
    binary: PathBuf,
    path: String,
    node_path: PathBuf,
}

impl Place {
    fn prepare(workshop: &Workshop, tally: &mut Tally) -> Result<Self> {
        let target = workshop.metadata.target_directory.as_std_path();
        let wanted = workshop.root.join(FOLDER);
        let (python, node) = (target.join("venv"), target.join("npm"));
        let prepared = [
            ("Python packages", prepare_python(&wanted, &python)),
            ("Node packages", prepare_node(&wanted, &node)),
        ];
        for (what, result) in prepared {
            if let Err(error) = result {
                println!("{what}: {error:#}");
                tally.add(not_covered(
                    workshop,
                    format!("interop: no {what}: {error:#}"),
                ));
            }
        }
        let path = env::var("PATH").unwrap_or_default();
        Ok(Self {
            binary: target.join("debug").join("hence"),
            path: format!("{}:{path}", python.join("bin").display()),
            node_path: node.join("node_modules"),
        })
    }
}

/// Prepares the Python packages, with which the tests of crates compare themselves too.
pub(super) fn prepare_python_packages(workshop: &Workshop) -> Result<()> {
    let target = workshop.metadata.target_directory.as_std_path();
    prepare_python(&workshop.root.join(FOLDER), &target.join("venv"))
}

fn prepare_python(wanted: &Path, venv: &Path) -> Result<()> {
    let list = wanted.join("requirements.txt");
    if !list.is_file() || is_current(&list, venv)? {
        return Ok(());
    }
    succeed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(venv),
    )?;
    let mut pip = Command::new(venv.join("bin/pip"));
    let quiet = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--requirement",
    ];
    succeed(pip.args(quiet).arg(&list))?;
    // What it declares beside what it needs here is a server, a plotter, and their dependencies.
    for line in fs::read_to_string(&list)?.lines() {
        if let Some(package) = line.strip_prefix("# alone: ") {
            let mut pip = Command::new(venv.join("bin/pip"));
            let quiet = [
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ];
            succeed(pip.args(quiet).arg(package))?;
        }
    }
    mark_current(&list, venv)
}

fn prepare_node(wanted: &Path, folder: &Path) -> Result<()> {
    let list = wanted.join("package.json");
    if !list.is_file() || is_current(&list, folder)? {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    fs::copy(&list, folder.join("package.json"))?;
    let mut npm = Command::new("npm");
    let quiet = [
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
    ];
    succeed(npm.current_dir(folder).args(quiet))?;
    mark_current(&list, folder)
}

/// Whether the folder was filled from this very list.
fn is_current(list: &Path, folder: &Path) -> Result<bool> {
    let mark = fs::read(folder.join("filled-from")).unwrap_or_default();
    Ok(mark == fs::read(list)?)
}

fn mark_current(list: &Path, folder: &Path) -> Result<()> {
    fs::copy(list, folder.join("filled-from"))?;
    Ok(())
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{command:?} could not be started"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests;
