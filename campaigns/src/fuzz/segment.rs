//! The log: frames that nobody wrote, and directories to which anything may have happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use hence_log::sim::SimStorage;
use hence_log::{
    ErrorKind, Level, Log, Op, Options, Retention, Storage as _, Writer, backup_on, check_on,
    restore_on, salvage_on, stat_on, verify_on,
};

use super::{Input, naive};

const SEGMENT_BYTES: usize = 4 << 10;
/// Steps of one log.
const STEPS_MAX: usize = 200;
const NAME: &str = "segment-00000000000000000001.hlog";

fn options() -> Options {
    let options = Options::default().segment_bytes(SEGMENT_BYTES as u32);
    options.reserve_bytes(0).tail_bytes(1 << 10)
}

/// One segment of frames that the input makes up: any role, any body, any claim, and sums that
/// mostly fit. The real reader, a naive one, the check and the salvage have to agree.
///
/// # Panics
/// When they do not.
pub fn frame(bytes: &[u8]) {
    let file = made_up(&mut Input(bytes));
    let disk = SimStorage::new();
    let wrote = disk.create(NAME).and_then(|handle| {
        handle.write_at(&file, 0)?;
        handle.sync_data()
    });
    wrote
        .and_then(|()| disk.sync_dir(""))
        .expect("no fault was planned");
    let naive = naive::commits(&file);
    let report = check_on(&disk).expect("a check reports and does not fail");
    let mut saved = Vec::new();
    salvage_on(&disk, |frame| saved.push((frame.time(), frame.position())))
        .expect("what is readable can be salvaged");
    for (time, position, _) in &naive {
        assert!(
            saved.contains(&(*time, *position)),
            "{position} was left out"
        );
    }
    match Log::open_on(Arc::new(disk.clone()), options()) {
        Ok((writer, log, _)) => {
            assert_eq!(report.problems, [], "it opens");
            let mut frames = log.frames(0);
            let mut real = Vec::new();
            while let Some(frame) = frames.next_frame().expect("it was verified") {
                // The operations, put together again, are the body.
                let ops: Vec<_> = frame.ops().collect();
                let appends = ops.iter().filter_map(|op| op.position).collect::<Vec<_>>();
                assert!(appends.iter().zip(frame.position()..).all(|(a, b)| *a == b));
                real.push((frame.time(), frame.position(), ops.len()));
            }
            let naive: Vec<_> = naive
                .iter()
                .map(|(time, position, _)| (*time, *position))
                .collect();
            let real: Vec<_> = real
                .iter()
                .map(|(time, position, _)| (*time, *position))
                .collect();
            assert_eq!(real, naive);
            writer.close().expect("no fault was planned");
        }
        Err(error) => {
            let kind = error.kind();
            let known = matches!(
                kind,
                ErrorKind::Corrupt { .. } | ErrorKind::MissingSegment { .. }
            );
            assert!(known && !report.problems.is_empty(), "{error}: {report:?}");
        }
    }
}

/// A file with an intact header.
fn made_up(input: &mut Input<'_>) -> Vec<u8> {
    let mut file = vec![0; SEGMENT_BYTES];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = file.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let mut header = b"HENCELOG".to_vec();
    header.extend_from_slice(&2_u32.to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header.extend_from_slice(&[7; 16]);
    for number in [1_u64, 1, 1, 0] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&(SEGMENT_BYTES as u32).to_le_bytes());
    header.resize(508, 0);
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    put(0, &header);
    let (mut at, mut chain, mut next) = (512_usize, 0_u32, 0_u32);
    while !input.is_empty() && at + 32 < SEGMENT_BYTES {
        let how = input.byte();
        let role = match how & 7 {
            0 | 1 => 0xC1,
            2 | 3 => 0xC5,
            4 => 0xC2,
            5 => 0xC3,
            6 => 0xC4,
            _ => input.byte(),
        };
        let body = body(input, how, role == 0xC5);
        let synced = match how >> 6 {
            0 => 512,
            1 | 2 => at as u32,
            _ => input.word().into(),
        };
        let mut head = vec![0; 32];
        let mut field = |from: usize, bytes: &[u8]| {
            if let Some(place) = head.get_mut(from..from + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        field(0, &[input.byte(), 1, 0, 0, 0, 0, 0, role]);
        field(12, &crc32c::crc32c(&body).to_le_bytes());
        field(16, &chain.to_le_bytes());
        field(20, &(body.len() as u32).to_le_bytes());
        field(24, &synced.to_le_bytes());
        let gap = if how & 8 == 0 {
            0
        } else {
            u32::from(input.byte())
        };
        field(28, &(next + gap).to_le_bytes());
        let place = [
            &[7; 16][..],
            &1_u64.to_le_bytes(),
            &(at as u32).to_le_bytes(),
        ]
        .concat();
        let (front, back) = (head.get(..8), head.get(12..));
        let covered = [&place, front.unwrap_or_default(), back.unwrap_or_default()].concat();
        let mut crc = crc32c::crc32c(&covered);
        if how & 0x30 == 0x30 {
            // A frame that does not fit, which may hide others or end the log.
            crc ^= u32::from(input.byte());
        }
        if let Some(place) = head.get_mut(8..12) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        put(at, &head);
        put(at + 32, &body);
        at += 32 + body.len();
        chain = crc;
        next += gap + u32::from(input.byte() & 3);
    }
    file
}

/// Operations, or bytes that are none; of a group its commits.
fn body(input: &mut Input<'_>, how: u8, group: bool) -> Vec<u8> {
    let count = usize::from(input.byte());
    if how & 0x10 == 0 {
        return input.take(count).to_vec();
    }
    if !group {
        return operations(input, count);
    }
    let mut body = Vec::new();
    for _ in 0..=count % 3 {
        let commit = [vec![input.byte() & 0x7F], operations(input, count)].concat();
        body.extend_from_slice(&(commit.len() as u32).to_le_bytes());
        body.extend_from_slice(&commit);
    }
    body
}

fn operations(input: &mut Input<'_>, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..count % 4 {
        all.extend_from_slice(&[input.byte() & 3, 1, 0, 0, 0]);
        let length = input.byte() & 0x7F;
        all.push(length);
        let bytes = input.take(length.into());
        all.extend_from_slice(bytes);
        all.resize(all.len() + usize::from(length) - bytes.len(), b'x');
    }
    all
}

/// What was written where, and what of it must survive.
#[derive(Default)]
struct Ledger {
    written: BTreeMap<u64, u32>,
    synced: BTreeMap<u64, u32>,
    pending: BTreeMap<u64, u32>,
    serial: u32,
}

impl Ledger {
    fn stage(&mut self, writer: &mut Writer, input: &mut Input<'_>) {
        self.serial += 1;
        let mut body = self.serial.to_le_bytes().to_vec();
        body.resize(4 + usize::from(input.byte()) * 3, b'x');
        let other = [Op::append(1, &body), Op::other(1, 0, b"x")];
        let ops = other.into_iter().take(1 + usize::from(input.byte() & 1));
        if let Ok(staged) = writer.stage(self.serial.into(), ops) {
            self.pending.insert(staged.first_position, self.serial);
            self.written.insert(staged.first_position, self.serial);
        }
    }

    fn commit(&mut self, writer: &mut Writer, level: Level) {
        if writer.commit(level).is_ok() && level == Level::Synced {
            self.synced.clone_from(&self.written);
            self.pending.clear();
        }
    }
}

/// A log that the input writes, ends and damages: no panic, nothing that was not written, and
/// everything that was synced unless something was damaged.
///
/// # Panics
/// When that does not hold.
pub fn recovery(bytes: &[u8]) {
    let mut input = Input(bytes);
    let disk = SimStorage::new();
    let mut ledger = Ledger::default();
    let lives = 1 + input.byte() % 3;
    for _ in 0..lives {
        live(&disk, &mut ledger, &mut input);
    }
    let mut damaged = false;
    while !input.is_empty() {
        damaged |= damage(&disk, &mut input);
    }
    examine(&disk, &ledger, damaged);
}

/// Opens the log, works on it, and ends it in one way or another.
fn live(disk: &SimStorage, ledger: &mut Ledger, input: &mut Input<'_>) {
    let opened = Log::open_on(Arc::new(disk.clone()), options());
    let (mut writer, log, recovered) = opened.expect("nothing was damaged");
    drop(recovered);
    for _ in 0..STEPS_MAX {
        match input.byte() % 16 {
            0..=5 => ledger.stage(&mut writer, input),
            6..=8 => ledger.commit(&mut writer, Level::Synced),
            9 => ledger.commit(&mut writer, Level::Written),
            10 => drop(writer.mark()),
            11 => drop(log.store_snapshot(log.durable_frame(), b"state")),
            12 => {
                let settled = Some(log.watermark().saturating_sub(u64::from(input.byte())));
                let all = Retention {
                    settled,
                    ..Retention::default()
                };
                drop(log.retain(&all));
            }
            13 => drop(log.prepare_spare()),
            _ => break,
        }
    }
    let end = input.byte();
    if end & 3 == 0 {
        ledger.commit(&mut writer, Level::Synced);
        writer.close().expect("no fault was planned");
        return;
    }
    drop((writer, log));
    if end & 3 == 1 {
        disk.kill();
    } else {
        disk.crash(end.into());
    }
    // What was never told to anybody may be there, or other commits in its place.
    let first = ledger.synced.keys().last().map_or(0, |last| last + 1);
    ledger.pending.clear();
    let doubtful: Vec<_> = ledger.written.split_off(&first).into_iter().collect();
    let (_, log, _) = Log::open_on(Arc::new(disk.clone()), options()).expect("nothing was damaged");
    let there = log.watermark();
    let kept = doubtful
        .into_iter()
        .filter(|(position, _)| *position <= there);
    ledger.written.extend(kept);
    ledger.synced.clone_from(&ledger.written);
}

/// Changes a file behind the log's back; false if that changes nothing.
fn damage(disk: &SimStorage, input: &mut Input<'_>) -> bool {
    let mut names = disk.names();
    names.retain(|name| {
        name.ends_with(".hlog") || name.ends_with(".hsnp") || name.ends_with(".hidx")
    });
    let mut pick = || {
        let at = usize::from(input.byte()) % names.len().max(1);
        names.get(at).cloned().unwrap_or_default()
    };
    let (name, other) = (pick(), pick());
    let before = disk.contents(&name);
    let at = usize::from(input.word()) % before.len().max(1);
    match input.byte() % 6 {
        0 => disk.damage(&name, |bytes| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (input.byte() % 8);
            }
        }),
        1 => disk.damage(&name, |bytes| bytes.truncate(at)),
        2 => disk.damage(&name, |bytes| {
            let sector = bytes.iter_mut().skip(at / 512 * 512).take(512);
            sector.for_each(|byte| *byte = 0);
        }),
        3 => {
            let _ = disk.remove(&name);
            return true;
        }
        4 => {
            let foreign = disk.contents(&other);
            disk.damage(&name, |bytes| *bytes = foreign);
        }
        _ => disk.damage(&name, |bytes| {
            let sector: Vec<u8> = bytes
                .iter()
                .skip(at / 512 * 512)
                .take(512)
                .copied()
                .collect();
            let to = usize::from(input.byte()) * 512;
            for (place, byte) in bytes.iter_mut().skip(to).zip(sector) {
                *place = byte;
            }
        }),
    }
    disk.contents(&name) != before
}

/// Looks at what is left in every way there is.
fn examine(disk: &SimStorage, ledger: &Ledger, damaged: bool) {
    let known = |position: u64, body: &[u8]| {
        let serial = body.first_chunk().map(|four| u32::from_le_bytes(*four));
        let written = ledger.written.get(&position).copied();
        assert!(
            written.is_some() && written == serial,
            "{position}: {serial:?}, not {written:?}"
        );
    };
    let _ = stat_on(disk);
    let report = check_on(disk).expect("a check reports and does not fail");
    let salvaged = salvage_on(disk, |frame| {
        for op in frame.ops() {
            if let Some(position) = op.position {
                known(position, &op.body);
            }
        }
    });
    salvaged.expect("what is readable can be salvaged");
    let copy = SimStorage::new();
    let copied = backup_on(disk, &copy);
    match Log::open_on(Arc::new(disk.clone()), options()) {
        Ok((writer, log, _)) => {
            let mut reader = log.reader(0);
            let mut all = BTreeMap::new();
            loop {
                match reader.next_record() {
                    Ok(Some(record)) => {
                        known(record.position, &record.body);
                        all.insert(record.position, record.body);
                    }
                    Ok(None) => break,
                    // A sealed segment with an intact index is not read when the log opens.
                    Err(error) => {
                        assert!(damaged, "{error}");
                        break;
                    }
                }
            }
            let first = log.first_position();
            let last = all.keys().last().copied().unwrap_or(0);
            let upto = if damaged { last } else { u64::MAX };
            for position in ledger.synced.range(first..).map(|(position, _)| position) {
                assert!(
                    *position > upto || all.contains_key(position),
                    "{position} is lost"
                );
            }
            if damaged {
                return;
            }
            assert_eq!(report.problems, []);
            let about = copied.expect("an intact log makes a backup");
            assert_eq!(verify_on(&copy).expect("it is whole"), about);
            let restored = SimStorage::new();
            restore_on(&copy, Arc::new(restored.clone())).expect("it is whole");
            drop(writer);
            let (_, again, _) = Log::open_on(Arc::new(restored), options()).expect("it is whole");
            let mut reader = again.reader(0);
            for (position, body) in all {
                let record = reader.next_record().expect("it was verified");
                assert_eq!(
                    record.map(|it| (it.position, it.body)),
                    Some((position, body))
                );
            }
        }
        Err(error) => assert!(damaged, "{error}"),
    }
}
