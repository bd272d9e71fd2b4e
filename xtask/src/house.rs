//! The repository as the checks see it: its files, its packages, who imports whom.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What the repository contains. Paths are relative to its root and use `/`.
#[derive(Default)]
pub(crate) struct House {
    pub(crate) files: Vec<File>,
    pub(crate) packages: Vec<Package>,
}

/// A file that is committed, or would be by `git add --all`.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// Nothing when the file is not UTF-8.
    pub(crate) text: Option<String>,
}

/// A package of the resolved dependency graph, ours or foreign.
#[derive(Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    /// Where it comes from; nothing for a package of this repository.
    pub(crate) source: Option<String>,
    /// The folder of a package of this repository.
    pub(crate) folder: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a manifest.
#[derive(Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) requirement: String,
    pub(crate) in_tests_only: bool,
}

impl House {
    /// Reads the repository at `root`.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for path in listed_files(root)? {
            let Ok(bytes) = fs::read(root.join(&path)) else {
                continue; // deleted, and the deletion is not staged yet
            };
            let length = bytes.len() as u64;
            files.push(File {
                path,
                bytes: length,
                text: String::from_utf8(bytes).ok(),
            });
        }
        Ok(Self {
            files,
            packages: packages(&metadata(root)?),
        })
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == path)?
            .text
            .as_deref()
    }

    /// Path and text of the files with this ending.
    pub(crate) fn texts<'a>(
        &'a self,
        ending: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.files
            .iter()
            .filter(move |file| file.path.ends_with(ending))
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    /// The packages of this repository.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| package.folder.is_some())
    }

    /// A house made of texts, for the tests of the checks.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            bytes: text.len() as u64,
            text: Some((*text).to_owned()),
        };
        Self {
            files: files.iter().map(file).collect(),
            packages: Vec::new(),
        }
    }
}

/// Whether a Rust file holds nothing but tests, examples or measurements.
pub(crate) fn is_test_path(path: &str) -> bool {
    let folders = ["tests", "examples", "benches", "fuzz"];
    path.ends_with("/tests.rs") || path.split('/').any(|part| folders.contains(&part))
}

/// The root of the workspace that holds the current directory.
pub(crate) fn root() -> Result<PathBuf> {
    let output = Command::new(cargo())
        .args(["locate-project", "--workspace", "--message-format", "plain"])
        .output()
        .context("cargo could not be started")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let manifest = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    Ok(manifest
        .parent()
        .context("a manifest stands in a folder")?
        .to_owned())
}

/// The cargo that runs us.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// What cargo knows of the workspace, all features on.
pub(crate) fn metadata(root: &Path) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command
        .manifest_path(root.join("Cargo.toml"))
        .features(cargo_metadata::CargoOpt::AllFeatures);
    command.exec().context("cargo metadata failed")
}

fn listed_files(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--deduplicate",
        ])
        .output()
        .context("git could not be started")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(list.split_terminator('\0').map(str::to_owned).collect())
}

fn packages(metadata: &Metadata) -> Vec<Package> {
    let root = metadata.workspace_root.as_str();
    let folder = |manifest: &str| {
        let inside = manifest.strip_prefix(root)?.strip_prefix('/')?;
        Some(
            inside
                .strip_suffix("/Cargo.toml")
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let dependency = |line: &cargo_metadata::Dependency| Dependency {
        name: line.name.clone(),
        requirement: line.req.to_string(),
        in_tests_only: line.kind == DependencyKind::Development,
    };
    metadata
        .packages
        .iter()
        .map(|package| Package {
            name: package.name.to_string(),
            version: package.version.to_string(),
            licence: package.license.clone(),
            source: package.source.as_ref().map(|source| source.repr.clone()),
            folder: match package.source {
                None => folder(package.manifest_path.as_str()),
                Some(_) => None,
            },
            dependencies: package.dependencies.iter().map(dependency).collect(),
        })
        .collect()
}
