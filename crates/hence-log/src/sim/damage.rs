//! Damage, tried out one by one on a small log: every truncation, every flipped bit, every sector
//! zeroed, doubled or swapped. Nothing may be lost in silence.

use std::sync::Arc;

use super::{Dice, SimStorage};
use crate::frame::ROLE_OFFSET;
use crate::recovery::each_head;
use crate::segment::{HEADER_BYTES, Segment};
use crate::{ErrorKind, Frame, Level, Log, Op, Options, Result, salvage_on};

const SEGMENT_BYTES: u32 = 16 << 10;
const SEGMENTS: u64 = 4;
const SECTOR: usize = super::SECTOR;

/// How the cases of a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many cases were tried.
    pub cases: u64,
    /// Opening or reading said where the damage is.
    pub refused: u64,
    /// Everything was there all the same: the damage hit bytes without meaning, or a copy.
    pub harmless: u64,
}

/// A small closed log, and what it contains.
pub struct Specimen {
    storage: SimStorage,
    frames: Vec<Known>,
    /// Commits that were stored at once, at most: so many may share a frame.
    together: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    position: u64,
    ops: Vec<(u8, u32, Vec<u8>)>,
}

impl Known {
    fn of(frame: &Frame) -> Self {
        let ops = frame
            .ops()
            .map(|op| (op.kind, op.tag, op.body.to_vec()))
            .collect();
        Self {
            position: frame.position(),
            ops,
        }
    }
}

fn options() -> Options {
    Options::default()
        .segment_bytes(SEGMENT_BYTES)
        .tail_bytes(0)
}

impl Specimen {
    /// Writes the log: four segments of 16 KiB, the last half full, closed, without snapshots.
    pub fn new() -> Result<Self> {
        let storage = SimStorage::new();
        let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), options())?;
        let mut dice = Dice::new(64);
        let mut frames = Vec::new();
        let full = |storage: &SimStorage| {
            let segments = storage
                .names()
                .iter()
                .filter(|n| n.starts_with("segment-"))
                .count();
            segments as u64 >= SEGMENTS
        };
        let (mut rest, mut waiting, mut together) = (30, 0, 0);
        while rest > 0 {
            let body: Vec<u8> = (0..dice.below(400)).map(|_| dice.roll() as u8).collect();
            let ops = [
                Op::append(dice.below(5) as u32, &body),
                Op::other(2, 0, b"settled"),
            ];
            let ops = ops.get(..1 + dice.below(2) as usize).unwrap_or_default();
            let staged = writer.stage(dice.below(1 << 40), ops.iter().copied())?;
            let kept = ops
                .iter()
                .map(|op| (op.kind, op.tag, op.body.to_vec()))
                .collect();
            frames.push(Known {
                position: staged.first_position,
                ops: kept,
            });
            waiting += 1;
            together = waiting.max(together);
            if dice.below(3) == 0 {
                writer.commit(Level::Synced)?;
                waiting = 0;
            }
            rest -= u64::from(full(&storage));
        }
        writer.commit(Level::Synced)?;
        writer.close()?;
        drop(log);
        Ok(Self {
            storage,
            frames,
            together,
        })
    }

    /// The names of its files.
    pub fn files(&self) -> Vec<String> {
        self.storage.names()
    }

    /// The length of one file.
    pub fn length(&self, file: &str) -> u64 {
        self.storage.contents(file).len() as u64
    }

    /// Damages a copy and says how it ended; `Err` describes what was lost in silence. After a
    /// refusal `salvage` must return all commits but those of `hit` frames.
    pub fn try_out(
        &self,
        file: &str,
        hit: usize,
        damage: impl FnOnce(&mut Vec<u8>),
        tally: &mut Tally,
    ) -> Result<(), String> {
        let storage = self.storage.fork();
        storage.damage(file, damage);
        tally.cases += 1;
        match self.read(&storage) {
            Ok(found) if found == self.frames => tally.harmless += 1,
            Ok(found) => {
                let (found, of) = (found.len(), self.frames.len());
                return Err(format!("{file}: {found} of {of} frames, and no error"));
            }
            Err(error) => {
                if !is_located(error.kind()) {
                    return Err(format!("{file}: refused without a place: {error:?}"));
                }
                tally.refused += 1;
                self.check_salvage(&storage, hit)?;
            }
        }
        Ok(())
    }

    fn read(&self, storage: &SimStorage) -> Result<Vec<Known>> {
        let (_, log, _) = Log::open_on(Arc::new(storage.clone()), options())?;
        let mut frames = log.frames(1);
        let mut found = Vec::with_capacity(self.frames.len());
        while let Some(frame) = frames.next_frame()? {
            found.push(Known::of(&frame));
        }
        Ok(found)
    }

    fn check_salvage(&self, storage: &SimStorage, hit: usize) -> Result<(), String> {
        let mut found = Vec::new();
        salvage_on(storage, |frame| found.push(Known::of(&frame)))
            .map_err(|e| format!("salvage failed: {e:?}"))?;
        let gone = hit.saturating_mul(self.together);
        if found.len().saturating_add(gone) < self.frames.len() {
            return Err(format!(
                "salvage found {} of {}",
                found.len(),
                self.frames.len()
            ));
        }
        let mut known = self.frames.iter();
        if found.iter().all(|frame| known.any(|other| other == frame)) {
            return Ok(());
        }
        Err("salvage returned a frame that was never written".to_owned())
    }
}

fn is_located(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Corrupt { .. }
            | ErrorKind::MissingSegment { .. }
            | ErrorKind::ForeignSegment { .. }
            | ErrorKind::Format { .. }
    )
}

/// Truncates every file of the specimen at every `step`th byte, beginning with a random one.
pub fn truncations(step: u64) -> Result<Tally, String> {
    let specimen = Specimen::new().map_err(|e| e.to_string())?;
    let mut tally = Tally::default();
    for file in specimen.files() {
        let length = specimen.length(&file);
        let mut at = Dice::new(step).below(step);
        while at < length {
            // Behind a truncation everything in the file may be gone.
            let cut = |bytes: &mut Vec<u8>| bytes.truncate(at as usize);
            specimen
                .try_out(&file, usize::MAX, cut, &mut tally)
                .map_err(|e| format!("truncated at {at}: {e}"))?;
            at += step;
        }
    }
    Ok(tally)
}

/// Flips every `step`th bit of every file of the specimen, beginning with a random one.
pub fn flips(step: u64) -> Result<Tally, String> {
    let specimen = Specimen::new().map_err(|e| e.to_string())?;
    let mut tally = Tally::default();
    for file in specimen.files() {
        let bits = specimen.length(&file) * 8;
        let mut at = Dice::new(step).below(step);
        while at < bits {
            let flip = |bytes: &mut Vec<u8>| {
                if let Some(byte) = bytes.get_mut((at / 8) as usize) {
                    *byte ^= 1 << (at % 8);
                }
            };
            specimen
                .try_out(&file, 1, flip, &mut tally)
                .map_err(|e| format!("bit {} of byte {}: {e}", at % 8, at / 8))?;
            at += step;
        }
    }
    Ok(tally)
}

/// Changes every bit of the role of every frame of the specimen: what a frame is for must be as
/// safe as what it says.
pub fn roles() -> Result<Tally, String> {
    let specimen = Specimen::new().map_err(|e| e.to_string())?;
    let mut tally = Tally::default();
    for file in specimen.files() {
        let Ok(segment) = Segment::open(&specimen.storage, &file) else {
            continue;
        };
        let mut places = Vec::new();
        each_head(&segment, HEADER_BYTES, |offset, _| {
            places.push(offset as usize + ROLE_OFFSET);
            true
        })
        .map_err(|e| e.to_string())?;
        for (place, bit) in places
            .into_iter()
            .flat_map(|at| (0..8).map(move |bit| (at, bit)))
        {
            let flip = |bytes: &mut Vec<u8>| {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << bit;
                }
            };
            specimen
                .try_out(&file, 1, flip, &mut tally)
                .map_err(|e| format!("bit {bit} of the role at byte {place}: {e}"))?;
        }
    }
    Ok(tally)
}

/// Zeroes, doubles and swaps every sector of every file of the specimen.
pub fn sectors() -> Result<Tally, String> {
    let specimen = Specimen::new().map_err(|e| e.to_string())?;
    let mut tally = Tally::default();
    for file in specimen.files() {
        for sector in 0..specimen.length(&file) as usize / SECTOR {
            let zero = |bytes: &mut Vec<u8>| replace(bytes, sector, &[0; SECTOR]);
            let double = |bytes: &mut Vec<u8>| {
                let copy = take(bytes, sector);
                replace(bytes, sector + 1, &copy);
            };
            let swap = |bytes: &mut Vec<u8>| {
                let (this, next) = (take(bytes, sector), take(bytes, sector + 1));
                if next.len() == SECTOR {
                    replace(bytes, sector, &next);
                    replace(bytes, sector + 1, &this);
                }
            };
            let within = |e| format!("sector {sector}: {e}");
            specimen
                .try_out(&file, usize::MAX, zero, &mut tally)
                .map_err(within)?;
            specimen
                .try_out(&file, usize::MAX, double, &mut tally)
                .map_err(within)?;
            specimen
                .try_out(&file, usize::MAX, swap, &mut tally)
                .map_err(within)?;
        }
    }
    Ok(tally)
}

fn take(bytes: &[u8], sector: usize) -> Vec<u8> {
    bytes
        .iter()
        .skip(sector * SECTOR)
        .take(SECTOR)
        .copied()
        .collect()
}

fn replace(bytes: &mut [u8], sector: usize, content: &[u8]) {
    super::overlay(bytes, sector, content);
}
