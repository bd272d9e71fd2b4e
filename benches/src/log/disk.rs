//! What the disk gives: the same bytes in the same batches, written and synced without any log.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Bytes of one file, as of one segment.
pub(crate) const FILE_BYTES: usize = 64 << 20;

/// What kind of file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has its length, and no blocks yet: a new segment.
    Growing,
    /// All its blocks were written before: a segment that is used again.
    Recycled,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Growing => "growing file",
            Self::Recycled => "recycled file",
        }
    }
}

/// A directory on the disk under `target`.
pub(crate) fn place() -> anyhow::Result<TempDir> {
    std::fs::create_dir_all("target")?;
    Ok(tempfile::Builder::new()
        .prefix("bench")
        .tempdir_in("target")?)
}

/// A file that is written batch by batch.
pub(crate) struct Raw {
    file: File,
    batch: Vec<u8>,
    at: usize,
}

impl Raw {
    pub(crate) fn new(dir: &Path, kind: Kind) -> anyhow::Result<Self> {
        let path = dir.join("raw");
        // A file of an earlier round would have its blocks already.
        let _ = std::fs::remove_file(&path);
        let file = File::create_new(&path)?;
        file.set_len(FILE_BYTES as u64)?;
        if kind == Kind::Recycled {
            let zeros = vec![0; 1 << 20];
            for at in (0..FILE_BYTES).step_by(zeros.len()) {
                write(&file, &zeros, at)?;
            }
        }
        file.sync_all()?;
        Ok(Self {
            file,
            batch: Vec::new(),
            at: 0,
        })
    }

    /// Writes and syncs one batch of its own; says how long it took.
    pub(crate) fn batch(&mut self, bytes: usize) -> anyhow::Result<Duration> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.resize(bytes, b'x');
        let began = Instant::now();
        let stored = self.store(&batch);
        let took = began.elapsed();
        self.batch = batch;
        stored.map(|()| took)
    }

    /// Writes and syncs bytes behind those before, or from the beginning where the file ends.
    pub(crate) fn store(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.at + bytes.len() > FILE_BYTES {
            self.at = 0;
        }
        write(&self.file, bytes, self.at)?;
        rustix::fs::fdatasync(&self.file)?;
        self.at += bytes.len();
        Ok(())
    }
}

fn write(file: &File, mut bytes: &[u8], mut at: usize) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::pwrite(file, bytes, at as u64)?;
        bytes = bytes.get(count..).unwrap_or_default();
        at += count;
    }
    Ok(())
}
