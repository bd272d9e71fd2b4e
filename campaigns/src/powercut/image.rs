//! An ext4 file system in a file, mounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::place::Place;

/// An ext4 image, mounted; unmounted when dropped.
pub(crate) struct Image {
    image: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

impl Image {
    /// Makes and mounts a file system of this size.
    pub(crate) fn new(place: &Place, bytes: u64) -> Result<Self> {
        let image = place.path("image");
        fs::File::create(&image)?.set_len(bytes)?;
        Self::on(place, image)
    }

    /// Makes and mounts a file system on a file that has its size.
    pub(super) fn on(place: &Place, image: PathBuf) -> Result<Self> {
        let mount = place.path("mount");
        fs::create_dir(&mount)?;
        // What ext4 would write later, in the background, is written now.
        let eager = "lazy_itable_init=0,lazy_journal_init=0";
        done(
            Command::new("mkfs.ext4")
                .args(["-q", "-F", "-E", eager])
                .arg(&image),
        )?;
        let mut made = Self {
            image,
            mount,
            mounted: false,
        };
        made.mount()?;
        Ok(made)
    }

    pub(super) fn mount(&mut self) -> Result<()> {
        done(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&self.image)
                .arg(&self.mount),
        )?;
        self.mounted = true;
        Ok(())
    }

    pub(super) fn unmount(&mut self) -> Result<()> {
        done(Command::new("umount").arg(&self.mount))?;
        self.mounted = false;
        Ok(())
    }

    /// Its root.
    pub(super) fn root(&self) -> &Path {
        &self.mount
    }

    /// A directory on it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.mount.join(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted {
            // The namespace ends with us and takes the mount with it.
            let _ = done(Command::new("umount").arg("-l").arg(&self.mount));
        }
    }
}

fn done(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} could not be started"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", words.trim());
    Ok(())
}
