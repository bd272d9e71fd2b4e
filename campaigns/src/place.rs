//! `Place`: a directory for one campaign, on a fast disk, gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// What the names of our directories begin with; the id of the process follows.
const PREFIX: &str = "hence-campaign-";
/// The memory disk of Linux.
const MEMORY_DISK: &str = "/dev/shm";

/// A directory that is removed when this is dropped.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A directory on a real disk.
    pub(crate) fn on_disk() -> Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    /// A directory on a memory disk, if there is one.
    pub(crate) fn in_memory() -> Result<Self> {
        let memory = Path::new(MEMORY_DISK);
        if memory.is_dir() {
            Self::below(memory)
        } else {
            Self::on_disk()
        }
    }

    fn below(parent: &Path) -> Result<Self> {
        remove_stale(parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        Ok(Self {
            dir: tempfile::Builder::new()
                .prefix(&prefix)
                .tempdir_in(parent)?,
        })
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Removes what campaigns left behind that were killed.
fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let gone = |owner: &str| !Path::new("/proc").join(owner).exists();
        if owner.is_some_and(gone) {
            // Another campaign may be removing it, too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
