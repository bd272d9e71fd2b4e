//! The way back: from a backup to a log that opens and goes on.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::manifest::{Entry, Manifest, hex};
use super::{Backup, claim, copy, directory, each_part, finish, sync_names, unusable};
use crate::check::{check_on, existing};
use crate::error::{Error, Result};
use crate::log::Options;
use crate::recovery;
use crate::segment::{HEADER_BYTES, Header, SEGMENT_BYTES_MIN, generation_of};
use crate::storage::{Lock, Storage, read_full};

/// Positions that a restored log passes over: the log that was lost may have given them to commits
/// that the backup does not hold.
const PASSED_OVER: u64 = 1 << 26;

/// Verifies a backup without restoring it.
///
/// # Errors
/// As [`restore`].
pub fn verify(from: impl AsRef<Path>) -> Result<Backup> {
    verify_on(&existing(from.as_ref())?)
}

/// As [`verify`], on a storage.
pub fn verify_on(from: &dyn Storage) -> Result<Backup> {
    Ok(verified(from)?.about)
}

fn verified(from: &dyn Storage) -> Result<Manifest> {
    let manifest = Manifest::load(from)?;
    for entry in &manifest.entries {
        verify_entry(from, entry, &manifest.about)?;
    }
    Ok(manifest)
}

fn verify_entry(from: &dyn Storage, entry: &Entry, about: &Backup) -> Result<()> {
    let name = &entry.name;
    let file = from.open(name).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unusable(name, "the file is missing"),
        _ => Error::io("open", name, error),
    })?;
    let length = file.length().map_err(|e| Error::io("measure", name, e))?;
    if length != entry.bytes {
        return Err(unusable(name, "the file does not have its length"));
    }
    let mut hash = Sha256::new();
    each_part(&*file, name, length, |part, _| {
        hash.update(part);
        Ok(())
    })?;
    if hex(&hash.finalize()) != entry.hash {
        return Err(unusable(name, "the file fails its hash"));
    }
    if generation_of(name).is_some() && header(from, name)?.log != about.log {
        return Err(unusable(name, "the segment belongs to another log"));
    }
    Ok(())
}

fn header(from: &dyn Storage, name: &str) -> Result<Header> {
    let mut bytes = [0; HEADER_BYTES as usize];
    let read = from
        .open(name)
        .and_then(|file| read_full(&*file, &mut bytes, 0));
    read.map_err(|e| Error::io("read", name, e))?;
    Header::decode(&bytes, name)
}

/// Makes a log out of a backup, in a directory that is empty, does not exist, or holds what an
/// earlier try left. Everything is verified before anything is written, and again afterwards.
///
/// It is the same log: it has the same id, and positions are what they were. New commits get
/// positions far behind, so that none comes back with other contents than the lost log gave it.
///
/// # Errors
/// `Backup` if the backup is not whole, with the file; `NotEmpty` if something else is in the new
/// directory; `NoRoom` if its disk is full.
pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Backup> {
    let from = existing(from.as_ref())?;
    verified(&from)?;
    restore_on(&from, Arc::new(directory(to.as_ref())?))
}

/// As [`restore`], between storages.
pub fn restore_on(from: &dyn Storage, to: Arc<dyn Storage>) -> Result<Backup> {
    let manifest = verified(from)?;
    let lock = claim(&*to)?;
    let mut largest = SEGMENT_BYTES_MIN;
    for entry in &manifest.entries {
        let name = &entry.name;
        let file = from.open(name).map_err(|e| Error::io("open", name, e))?;
        let (copied, target) = copy(&*file, name, entry.bytes, &*to)?;
        if copied != *entry {
            return Err(unusable(name, "the file changed while it was read"));
        }
        if generation_of(name).is_some() {
            let length = header(from, name)?.bytes;
            largest = length.max(largest);
            let stretched = target
                .set_len(length.into())
                .and_then(|()| target.sync_data());
            stretched.map_err(|e| Error::io("stretch", name, e))?;
        }
    }
    sync_names(&*to)?;
    let about = manifest.about;
    compare(&*to, &about)?;
    begin(
        Arc::clone(&to),
        lock,
        Options::default().segment_bytes(largest),
    )?;
    finish(&*to)?;
    Ok(about)
}

/// Reads every frame of what was restored.
fn compare(to: &dyn Storage, about: &Backup) -> Result<()> {
    let report = check_on(to)?;
    if let Some(found) = report.problems.first() {
        let what = "what was restored does not verify";
        return Err(Error::corrupt(&found.file, found.offset, what));
    }
    if report.frames != about.commits.1 + 1 - about.commits.0 {
        return Err(unusable("manifest", "the segments hold other commits"));
    }
    Ok(())
}

/// Opens the log for the first time, and closes it behind the positions that are passed over.
fn begin(to: Arc<dyn Storage>, lock: Box<dyn Lock>, options: Options) -> Result<()> {
    let (mut writer, _, recovered) = recovery::open_locked(to, options, lock)?;
    drop(recovered);
    writer.skip_to(writer.next_position() + PASSED_OVER)?;
    writer.close()
}
