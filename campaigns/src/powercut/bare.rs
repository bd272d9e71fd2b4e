//! The instrument tried on itself: a program that only writes and syncs, of which everything must be
//! there that was synced before the cut. What is missing here is no fault of a log.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::line::{Line, Pipe, now};

/// Writers side by side, each with a file of its own.
const WRITERS: usize = 2;
/// Bytes of a record.
const RECORD_BYTES: usize = 512;
/// Records of a file.
const RECORDS: usize = 40_000;

/// The arguments of the program.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bare {
    /// Where its files are.
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// What makes its records differ from those of other lives.
    #[arg(long)]
    pub(crate) life: u64,
}

fn file(dir: &Path, writer: usize) -> PathBuf {
    dir.join(format!("bare-{writer}"))
}

fn id(life: u64, writer: usize, number: usize) -> String {
    format!("{life}.{writer}.{number}")
}

fn record(id: &str) -> [u8; RECORD_BYTES] {
    let mut bytes = [b' '; RECORD_BYTES];
    bytes
        .iter_mut()
        .zip(id.bytes())
        .for_each(|(to, from)| *to = from);
    bytes
}

/// Writes and syncs until it is killed or a call fails, and tells of each sync that succeeded.
pub(crate) fn run(bare: &Bare) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    ensure!(getppid().is_some(), "the campaign is gone");
    let pipe = Pipe::default();
    for writer in 0..WRITERS {
        let made = File::create(file(&bare.dir, writer))?;
        made.set_len((RECORDS * RECORD_BYTES) as u64)?;
        made.sync_all()?;
    }
    File::open(&bare.dir)?.sync_all()?;
    std::thread::scope(|scope| {
        let write = |writer| {
            scope.spawn({
                let pipe = pipe.clone();
                move || write(bare, writer, &pipe)
            })
        };
        (0..WRITERS).for_each(|writer| drop(write(writer)));
    });
    // A sync has failed, as it should; the campaign ends this.
    loop {
        std::thread::park();
    }
}

fn write(bare: &Bare, writer: usize, pipe: &Pipe) -> std::io::Result<()> {
    let file = File::options().write(true).open(file(&bare.dir, writer))?;
    for number in 0..RECORDS {
        let id = id(bare.life, writer, number);
        file.write_all_at(&record(&id), (number * RECORD_BYTES) as u64)?;
        file.sync_data()?;
        let at = now();
        pipe.say(&Line::Ack {
            id,
            position: number as u64,
            synced: true,
            duplicate: false,
            at,
        });
    }
    Ok(())
}

/// What became of the records whose sync succeeded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Synced before the cut began, and there.
    pub(super) kept: u64,
    /// Synced before the cut began, and gone.
    pub(super) lost: u64,
    /// Sync ended at the cut or later.
    pub(super) doubtful: u64,
    /// Of these, gone.
    pub(super) doubtful_lost: u64,
}

/// Compares what is there with what a life told.
pub(super) fn look(dir: &Path, lines: &[Line], cut: Option<u64>, found: &mut Found) -> Result<()> {
    let is_acknowledged = |line: &Line| matches!(line, Line::Ack { .. });
    if !lines.iter().any(is_acknowledged) {
        // The files may not have been there yet.
        return Ok(());
    }
    let read = |writer| {
        let place = file(dir, writer);
        // What cannot be read is no file that the cut emptied.
        fs::read(&place).with_context(|| format!("'{}' cannot be read", place.display()))
    };
    let files = (0..WRITERS).map(read).collect::<Result<Vec<Vec<u8>>>>()?;
    for line in lines {
        let Line::Ack {
            id, position, at, ..
        } = line
        else {
            continue;
        };
        let writer = id
            .split('.')
            .nth(1)
            .and_then(|writer| writer.parse::<usize>().ok());
        let bytes = writer.and_then(|writer| files.get(writer));
        let begin = usize::try_from(*position)? * RECORD_BYTES;
        let there = bytes.and_then(|bytes| bytes.get(begin..begin + RECORD_BYTES));
        let gone = there.is_none_or(|there| there != record(id));
        if cut.is_some_and(|cut| *at >= cut) {
            found.doubtful += 1;
            found.doubtful_lost += u64::from(gone);
        } else if gone {
            found.lost += 1;
        } else {
            found.kept += 1;
        }
    }
    Ok(())
}
