//! Every example prints what its `expected.txt` says.
//!
//! An example is a folder `examples/NAME` or `examples/apps/NAME`: a package of its own, or the
//! source of an example target. It runs in an empty folder under `target/examples`, so that what
//! it stores is fresh each time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::camino::Utf8Path;

use super::{Tally, Workshop, process};

const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(workshop: &Workshop) -> Result<Tally> {
    let mut tally = Tally::default();
    for folder in folders(&workshop.root)? {
        let name = folder.strip_prefix(&workshop.root)?.display().to_string();
        let result = try_example(workshop, &folder);
        match &result {
            Ok(()) => println!("{name} ... ok"),
            Err(error) => println!("{name} ... FAILED\n{error:#}"),
        }
        tally.add(if result.is_ok() {
            Tally::one(true)
        } else {
            Tally::failure(name)
        });
    }
    if tally == Tally::default() {
        tally
            .not_covered
            .push("examples: there is no examples/*/expected.txt".to_owned());
    }
    Ok(tally)
}

/// The folders with an `expected.txt`, sorted.
fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for parent in ["examples", "examples/apps"] {
        let Ok(entries) = fs::read_dir(root.join(parent)) else {
            continue;
        };
        for entry in entries {
            let folder = entry?.path();
            if folder.join("expected.txt").is_file() {
                found.push(folder);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn try_example(workshop: &Workshop, folder: &Path) -> Result<()> {
    let target = target(workshop, folder)?;
    let manifest = workshop.root.join("Cargo.toml");
    let cargo = |task: &str| {
        let mut command = Command::new(crate::house::cargo());
        command
            .args([task, "--quiet", "--manifest-path"])
            .arg(&manifest)
            .args(&target);
        command
    };
    let built = cargo("build")
        .status()
        .context("cargo could not be started")?;
    ensure!(built.success(), "it does not build");

    let name = folder.file_name().context("an example has a name")?;
    let scratch = workshop
        .metadata
        .target_directory
        .as_std_path()
        .join("examples")
        .join(name);
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let ended = process::run(cargo("run").current_dir(&scratch), LIMIT)?;
    let Some(status) = ended.status else {
        bail!("it did not end within {} s", LIMIT.as_secs());
    };
    let expected = fs::read_to_string(folder.join("expected.txt"))?;
    if let Some(difference) = difference(&expected, &ended.output) {
        bail!("{difference}");
    }
    ensure!(
        status.success(),
        "the output is right, but it ended with {status}"
    );
    Ok(())
}

/// What to tell cargo so that it runs the example of this folder.
fn target(workshop: &Workshop, folder: &Path) -> Result<Vec<String>> {
    let folder = Utf8Path::from_path(folder).context("a path is UTF-8")?;
    let packages = workshop.metadata.workspace_packages();
    let owner = packages
        .iter()
        .find(|package| package.manifest_path == folder.join("Cargo.toml"));
    if let Some(package) = owner {
        return Ok(vec!["--package".to_owned(), package.name.to_string()]);
    }
    let targets = packages.iter().flat_map(|package| {
        package
            .targets
            .iter()
            .map(|target| (package.name.to_string(), target))
    });
    for (package, target) in targets {
        if target.src_path.starts_with(folder) {
            let kind = if target.is_example() {
                "--example"
            } else {
                "--bin"
            };
            let words = ["--package", &package, kind, &target.name];
            return Ok(words.map(str::to_owned).to_vec());
        }
    }
    bail!("no package and no target stands in {folder}")
}

/// The first line that differs, in words.
fn difference(expected: &str, actual: &str) -> Option<String> {
    if expected.trim_end() == actual.trim_end() {
        return None;
    }
    let (mut wanted, mut got) = (expected.trim_end().lines(), actual.trim_end().lines());
    for number in 1.. {
        let (want, have) = (wanted.next(), got.next());
        if want != have {
            let show = |line: Option<&str>| line.map_or("the end".to_owned(), |l| format!("{l:?}"));
            return Some(format!(
                "line {number}: expected {}, printed {}\nall it printed:\n{actual}",
                show(want),
                show(have)
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests;
