//! What a failed commit wrote is taken back, so that whatever happens next, a loss of power included,
//! leaves the log as it was before.

use std::io;
use std::sync::Arc;

use crate::frame::{END_BYTES, HEAD_BYTES};
use crate::log::Shared;
use crate::retention;
use crate::segment::Segment;
use crate::storage::{File, read_full, write_all};

/// Where frames of a failed commit may stand in a segment.
pub(crate) struct Stood {
    pub(crate) segment: Arc<Segment>,
    /// Where its frames end without that commit.
    pub(crate) end: u32,
    /// Where heads of frames may stand behind that.
    pub(crate) behind: Vec<u32>,
}

/// Wipes what stood in each segment, the oldest of which existed before, and removes the others.
///
/// The newest goes first. A segment is emptied before the one in front of it is open again, and
/// removed after that: one without frames is no part of a log whose last seal is gone, but one with
/// frames would be, and a seal without a successor means a lost file.
pub(crate) fn undo(shared: &Shared, all: &[Stood]) -> io::Result<()> {
    let mut successor: Option<&Stood> = None;
    for (at, stood) in all.iter().enumerate().rev() {
        wipe(stood)?;
        // The first is written again: it stays open.
        if at > 0 {
            stood.segment.file.lend(&shared.files);
        }
        if let Some(successor) = successor.replace(stood) {
            retention::discard(shared, &successor.segment)?;
        }
    }
    Ok(())
}

fn wipe(stood: &Stood) -> io::Result<()> {
    let file = &stood.segment.file;
    let mut wiped = false;
    for &place in stood.behind.iter().rev() {
        let mut head = [0; HEAD_BYTES];
        read_full(file, &mut head, u64::from(place))?;
        // What was never written needs no room on a full disk.
        if head != [0; HEAD_BYTES] {
            write_all(file, &[0; HEAD_BYTES], u64::from(place))?;
            wiped = true;
        }
    }
    // Before the end word, which must not be the only thing to survive: some heads may say that bytes
    // behind the end are durable, because they were, and recovery would miss them.
    if wiped {
        file.sync_data()?;
    }
    // There was an end word before, so there is room for it.
    write_all(file, &[0; END_BYTES], u64::from(stood.end))?;
    file.sync_data()
}
