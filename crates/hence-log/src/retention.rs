//! Segment files come and go here: made from spares, retired into spares.

use std::io;
use std::sync::{Arc, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::frame::END_BYTES;
use crate::log::{Shared, locked};
use crate::segment::{Header, Segment, file_name};
use crate::storage::{File, Storage, is_full, write_all};

const SPARE_PREFIX: &str = "spare-";

/// The name of a file that waits for reuse.
fn spare_name(generation: u64) -> String {
    format!("{SPARE_PREFIX}{generation:020}.hlog")
}

/// Whether a file waits for reuse.
pub(crate) fn is_spare(name: &str) -> bool {
    name.starts_with(SPARE_PREFIX)
}

/// Makes a segment, durable under its name before this returns.
pub(crate) fn create_segment(shared: &Shared, header: Header) -> Result<Segment> {
    let spare = locked(&shared.spares).pop();
    let made = make_segment(&*shared.storage, header, spare);
    made.map_err(|(step, error)| match step {
        // Until the sync the file is no part of the log, so nothing in doubt.
        Step::Prepare if is_full(&error) => Error::because(ErrorKind::Full, error),
        Step::Prepare => Error::io("create", "a segment", error),
        Step::Sync => shared.poison(error),
    })
}

pub(crate) enum Step {
    Prepare,
    Sync,
}

/// Writes the header into a spare or a new file, then gives it its name: a file with the name of a
/// segment always has a whole header.
pub(crate) fn make_segment(
    storage: &dyn Storage,
    header: Header,
    spare: Option<String>,
) -> Result<Segment, (Step, io::Error)> {
    let name = spare.unwrap_or_else(|| spare_name(header.generation));
    let file = prepare(storage, &name, &header).map_err(|e| (Step::Prepare, e))?;
    file.sync_data().map_err(|e| (Step::Sync, e))?;
    let renamed = storage.rename(&name, &file_name(header.generation));
    renamed.map_err(|e| (Step::Prepare, e))?;
    storage.sync_dir("").map_err(|e| (Step::Sync, e))?;
    Ok(Segment::new(header, file))
}

fn prepare(storage: &dyn Storage, name: &str, header: &Header) -> io::Result<Box<dyn File>> {
    let file = match storage.open(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => storage.create(name)?,
        Err(error) => return Err(error),
    };
    if file.length()? != u64::from(header.bytes) {
        file.set_len(u64::from(header.bytes))?;
    }
    let mut first = header.encode().to_vec();
    first.extend_from_slice(&[0; END_BYTES]);
    write_all(&*file, &first, 0)?;
    Ok(file)
}

/// Takes new segments into the list.
pub(crate) fn adopt(shared: &Shared, created: Vec<Arc<Segment>>) {
    let mut segments = shared
        .segments
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    segments.extend(created);
}

/// Removes segments that were made for a group that failed, newest first. They are not kept as
/// spares: they may hold frames of a generation that will be used again.
pub(crate) fn discard(shared: &Shared, created: &[Arc<Segment>]) -> io::Result<()> {
    for segment in created.iter().rev() {
        shared.storage.remove(&segment.name)?;
        shared.storage.sync_dir("")?;
    }
    Ok(())
}
