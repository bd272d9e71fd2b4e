//! The manifest of a backup: what is in it, with a hash for every file and one for itself.
//!
//! ```text
//! hence-backup 1
//! log 00112233445566778899aabbccddeeff
//! commits 1 1200
//! positions 1 3400
//! until 1763660000000000
//! file segment-00000000000000000001.hlog 67108832 <SHA-256>
//! file snapshot-00000000000000001000.hsnp 4711 <SHA-256>
//! sha256 <SHA-256 of all lines above>
//! ```

use std::fmt::Write as _;
use std::io;

use sha2::{Digest as _, Sha256};

use super::{Backup, unusable};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::generation_of;
use crate::snapshot::frame_of;
use crate::storage::{Storage, is_full, read_full, write_all};

/// The name of the manifest.
pub(crate) const MANIFEST: &str = "manifest";
/// The manifest before it is whole.
pub(crate) const TEMPORARY: &str = "manifest.new";
/// The largest manifest, in bytes: far more than a hundred thousand segments.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// The form of a backup that this version writes.
const BACKUP_VERSION: u32 = 1;
const TITLE: &str = "hence-backup";

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) hash: String,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) about: Backup,
    pub(crate) entries: Vec<Entry>,
}

/// A hash as it is written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Manifest {
    fn encode(&self) -> String {
        let about = &self.about;
        let mut text = format!(
            "{TITLE} {BACKUP_VERSION}\nlog {}\ncommits {} {}\npositions {} {}\nuntil {}\n",
            hex(&about.log),
            about.commits.0,
            about.commits.1,
            about.positions.0,
            about.positions.1,
            about.until,
        );
        for Entry { name, bytes, hash } in &self.entries {
            let _ = writeln!(text, "file {name} {bytes} {hash}");
        }
        let hash = hex(&Sha256::digest(text.as_bytes()));
        let _ = writeln!(text, "sha256 {hash}");
        text
    }

    fn decode(text: &str) -> Result<Self> {
        let damaged = || unusable(MANIFEST, "the manifest fails its own hash");
        let behind = text.rfind("sha256 ").ok_or_else(damaged)?;
        let (body, seal) = text.split_at(behind);
        if seal != format!("sha256 {}\n", hex(&Sha256::digest(body.as_bytes()))) {
            return Err(damaged());
        }
        let mut lines = body.lines();
        let title = lines.next().and_then(|line| line.strip_prefix(TITLE));
        let version = title.and_then(|title| title.trim_start().parse::<u32>().ok());
        let strange = || unusable(MANIFEST, "the manifest does not say what it must");
        if version.ok_or_else(strange)? > BACKUP_VERSION {
            let what = "a newer version of Hence wrote it, which can restore it";
            return Err(unusable(MANIFEST, what));
        }
        Self::decode_lines(lines).ok_or_else(strange)
    }

    /// What stands below the title, which its hash has vouched for.
    fn decode_lines<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        let log = lines.next()?.strip_prefix("log ")?;
        let mut numbers = |name: &str| {
            let rest = lines.next()?.strip_prefix(name)?.strip_prefix(' ')?;
            rest.split(' ')
                .map(|number| number.parse().ok())
                .collect::<Option<Vec<u64>>>()
        };
        let about = Backup {
            log: u128::from_str_radix(log, 16).ok()?.to_be_bytes(),
            commits: pair(&numbers("commits")?)?,
            positions: pair(&numbers("positions")?)?,
            until: numbers("until")?.first().copied()?,
            files: 0,
            bytes: 0,
        };
        let mut entries = Vec::new();
        for line in lines {
            let mut words = line.strip_prefix("file ")?.split(' ');
            let entry = Entry {
                name: words.next()?.to_owned(),
                bytes: words.next()?.parse().ok()?,
                hash: words.next()?.to_owned(),
            };
            // A manifest names files of a log and nothing else, wherever it came from.
            let known = generation_of(&entry.name).is_some() || frame_of(&entry.name).is_some();
            if !known || words.next().is_some() {
                return None;
            }
            entries.push(entry);
        }
        Some(Self::new(about, entries))
    }

    /// With the sums of the entries.
    pub(crate) fn new(about: Backup, entries: Vec<Entry>) -> Self {
        let about = Backup {
            files: entries.len(),
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            ..about
        };
        Self { about, entries }
    }

    /// Stores it in one step.
    pub(crate) fn store(&self, storage: &dyn Storage) -> Result<()> {
        let failed = |error: io::Error| match is_full(&error) {
            true => no_room(MANIFEST, error),
            false => Error::io("write", MANIFEST, error),
        };
        let write = || {
            let file = storage.create(TEMPORARY)?;
            write_all(&*file, self.encode().as_bytes(), 0)?;
            file.sync_data()?;
            storage.rename(TEMPORARY, MANIFEST)?;
            storage.sync_dir("")
        };
        write().map_err(failed)
    }

    /// Reads it, and believes it only if it is whole.
    pub(crate) fn load(storage: &dyn Storage) -> Result<Self> {
        let io = |error| Error::io("read", MANIFEST, error);
        let file = storage.open(MANIFEST).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unusable(
                MANIFEST,
                "it is not there: this is no backup, or one that did not end",
            ),
            _ => io(error),
        })?;
        let length = file.length().map_err(io)?;
        if length > MANIFEST_BYTES_MAX {
            return Err(unusable(MANIFEST, "the manifest is larger than any"));
        }
        let mut bytes = vec![0; length as usize];
        let count = read_full(&*file, &mut bytes, 0).map_err(io)?;
        bytes.truncate(count);
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| unusable(MANIFEST, "the manifest is not text"))?;
        Self::decode(&text)
    }
}

pub(super) fn no_room(file: &str, error: io::Error) -> Error {
    let file = file.to_owned();
    Error::because(ErrorKind::NoRoom { file }, error)
}

fn pair(numbers: &[u64]) -> Option<(u64, u64)> {
    match numbers {
        [first, last] => Some((*first, *last)),
        _ => None,
    }
}
