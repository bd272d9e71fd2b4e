//! Damage to stored bytes, sampled; the exhaustive runs use the same functions with a step of 1.

use std::sync::Arc;

use hence_log::sim::{SimStorage, damage};
use hence_log::{ErrorKind, Level, Log, Op, Options, check_on};

/// Between two cases; `HENCE_DAMAGE_STEP=1` tries all.
fn step(short: u64) -> u64 {
    std::env::var("HENCE_DAMAGE_STEP")
        .ok()
        .and_then(|step| step.parse().ok())
        .unwrap_or(short)
}

#[test]
fn no_truncation_loses_in_silence() {
    let tally = damage::truncations(step(97)).unwrap();
    assert!(
        tally.cases > 500 && tally.refused > tally.cases / 2,
        "{tally:?}"
    );
}

#[test]
fn no_flipped_bit_loses_in_silence() {
    let tally = damage::flips(step(401)).unwrap();
    assert!(
        tally.cases > 1000 && tally.refused > tally.cases / 2,
        "{tally:?}"
    );
}

#[test]
fn no_changed_role_loses_in_silence() {
    let tally = damage::roles().unwrap();
    // The two marks of a clean end stand in for each other.
    assert!(tally.cases > 300 && tally.harmless == 16, "{tally:?}");
}

#[test]
fn no_damaged_sector_loses_in_silence() {
    let tally = damage::sectors().unwrap();
    assert!(
        tally.cases > 300 && tally.refused > tally.cases / 2,
        "{tally:?}"
    );
}

fn write(storage: &SimStorage, count: u64) {
    let options = Options::default().segment_bytes(8 << 10);
    let (mut writer, _, _) = Log::open_on(Arc::new(storage.clone()), options).unwrap();
    for time in 0..count {
        writer
            .stage(time, [Op::append(1, &[time as u8; 500])])
            .unwrap();
        writer.commit(Level::Synced).unwrap();
    }
    writer.close().unwrap();
}

fn refusal(storage: &SimStorage) -> ErrorKind {
    let opened = Log::open_on(Arc::new(storage.clone()), Options::default());
    opened.map(drop).unwrap_err().kind().clone()
}

#[test]
fn a_missing_segment_is_named_and_never_forgotten() {
    let whole = SimStorage::new();
    write(&whole, 60);
    let segments: Vec<String> = whole
        .names()
        .into_iter()
        .filter(|name| name.starts_with("segment-"))
        .collect();
    for lost in &segments[1..] {
        let storage = whole.fork();
        hence_log::Storage::remove(&storage, lost).unwrap();
        assert_eq!(
            refusal(&storage),
            ErrorKind::MissingSegment { file: lost.clone() }
        );
        let report = check_on(&storage).unwrap();
        assert_eq!(report.problems[0].file, *lost);
    }
    assert_eq!(check_on(&whole).unwrap().problems, []);
}

#[test]
fn a_segment_of_another_log_is_refused() {
    let (mine, other) = (SimStorage::new(), SimStorage::new());
    write(&mine, 60);
    // One call more before the id is drawn gives the other log another id.
    other.names();
    hence_log::Storage::space(&other).unwrap();
    write(&other, 60);
    let name = mine
        .names()
        .into_iter()
        .filter(|name| name.starts_with("segment-"))
        .nth(2)
        .unwrap();
    let foreign = other.contents(&name);
    mine.damage(&name, |bytes| *bytes = foreign);
    assert_eq!(refusal(&mine), ErrorKind::ForeignSegment { file: name });
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let storage = SimStorage::new();
    write(&storage, 3);
    let name = storage
        .names()
        .into_iter()
        .find(|name| name.starts_with("segment-"))
        .unwrap();
    storage.damage(&name, |bytes| {
        bytes[8..12].copy_from_slice(&7u32.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    });
    assert_eq!(
        refusal(&storage),
        ErrorKind::Format {
            file: name,
            found: 7
        }
    );
}

#[test]
fn a_frame_of_another_history_of_the_same_log_is_refused() {
    let storage = SimStorage::new();
    write(&storage, 5);
    let other = storage.fork();
    let go_on = |storage: &SimStorage, body: &[u8; 64]| {
        let options = Options::default().segment_bytes(8 << 10);
        let (mut writer, _, _) = Log::open_on(Arc::new(storage.clone()), options).unwrap();
        for _ in 0..3 {
            writer.stage(9, [Op::append(1, body)]).unwrap();
            writer.commit(Level::Synced).unwrap();
        }
        writer.close().unwrap();
    };
    let name = storage
        .names()
        .into_iter()
        .find(|name| name.starts_with("segment-"))
        .unwrap();
    go_on(&storage, &[0xAA; 64]);
    go_on(&other, &[0xBB; 64]);
    let (mine, foreign) = (storage.contents(&name), other.contents(&name));
    // The middle one of three frames of equal size: intact, in its place, and from elsewhere.
    let first = mine
        .windows(64)
        .position(|bytes| bytes == [0xAA; 64])
        .unwrap();
    let frame = 32 + 5 + 6 + 64;
    let begin = first + frame - 43;
    storage.damage(&name, |bytes| {
        bytes[begin..begin + frame].copy_from_slice(&foreign[begin..begin + frame]);
    });
    let what = "a frame does not continue the one before";
    assert_eq!(
        refusal(&storage),
        ErrorKind::Corrupt {
            file: name,
            offset: begin as u64,
            what
        }
    );
}

#[test]
fn damage_in_the_last_group_is_told_from_a_torn_write_by_a_mark() {
    for marked in [false, true] {
        let storage = SimStorage::new();
        let (mut writer, log, _) = Log::open_on(
            Arc::new(storage.clone()),
            Options::default().segment_bytes(8 << 10),
        )
        .unwrap();
        for body in [[1; 64], [2; 64]] {
            writer.stage(1, [Op::append(1, &body)]).unwrap();
            writer.commit(Level::Synced).unwrap();
        }
        if marked {
            writer.mark().unwrap();
        }
        drop((writer, log));
        let name = storage
            .names()
            .into_iter()
            .find(|name| name.starts_with("segment-"))
            .unwrap();
        storage.damage(&name, |bytes| {
            let at = bytes
                .windows(64)
                .position(|bytes| bytes == [2; 64])
                .unwrap();
            bytes[at] = 0;
        });
        if marked {
            assert!(matches!(
                refusal(&storage),
                ErrorKind::Corrupt { offset: 619, .. }
            ));
            continue;
        }
        // The doubt that the documentation names: cut, kept, reported.
        let (_, log, recovered) =
            Log::open_on(Arc::new(storage.clone()), Options::default()).unwrap();
        let cut = recovered.cut.unwrap();
        assert_eq!((log.watermark(), cut.offset), (1, 619));
        assert_eq!(storage.contents(&cut.kept_in).len() as u64, cut.bytes);
    }
}

#[test]
fn a_group_without_its_first_sector_is_cut_and_kept() {
    let storage = SimStorage::new();
    let (mut writer, log, _) = Log::open_on(
        Arc::new(storage.clone()),
        Options::default().segment_bytes(8 << 10),
    )
    .unwrap();
    for _ in 0..4 {
        writer.stage(1, [Op::append(1, &[3; 600])]).unwrap();
    }
    writer.commit(Level::Written).unwrap();
    drop((writer, log));
    storage.kill();
    let name = storage
        .names()
        .into_iter()
        .find(|name| name.starts_with("segment-"))
        .unwrap();
    // Behind the header and the reservation.
    storage.damage(&name, |bytes| bytes[552..1024].fill(0));
    let (_, log, recovered) = Log::open_on(Arc::new(storage.clone()), Options::default()).unwrap();
    let cut = recovered.cut.unwrap();
    assert_eq!((cut.offset, log.last_frame()), (552, 0));
    assert!(storage.contents(&cut.kept_in).len() > 1800);
    assert!(
        storage.contents(&name)[552..].iter().all(|byte| *byte == 0),
        "nothing is left behind"
    );
}

/// A head with a correct checksum at a place in a segment, as one of 2^32 strings of bytes has it.
fn head_by_chance(segment: &[u8], offset: u32, length: u32, synced: u32) -> Vec<u8> {
    let mut head = vec![0; 32];
    head[7] = 0xC5;
    head[20..24].copy_from_slice(&length.to_le_bytes());
    head[24..28].copy_from_slice(&synced.to_le_bytes());
    let place = [&segment[16..40], &offset.to_le_bytes()].concat();
    let crc = crc32c::crc32c(&[&place, &head[..8], &head[12..]].concat());
    head[8..12].copy_from_slice(&crc.to_le_bytes());
    head
}

#[test]
fn bytes_that_pass_a_checksum_by_chance_are_no_damage() {
    // Nothing is durable before it is written or before a segment begins, and no frame is longer
    // than its segment.
    for (length, synced) in [(0, u32::MAX), (0, 100), (u32::MAX, 512), (0, 7001)] {
        let storage = SimStorage::new();
        let options = Options::default().segment_bytes(8 << 10);
        let opened = Log::open_on(Arc::new(storage.clone()), options.clone());
        let (mut writer, _, _) = opened.unwrap();
        writer.stage(1, [Op::append(1, b"kept")]).unwrap();
        writer.commit(Level::Synced).unwrap();
        drop(writer);
        storage.kill();
        let name = "segment-00000000000000000001.hlog";
        storage.damage(name, |bytes| {
            let head = head_by_chance(bytes, 7000, length, synced);
            bytes[7000..7032].copy_from_slice(&head);
        });
        let opened = Log::open_on(Arc::new(storage.clone()), options);
        let (_, log, recovered) = opened.unwrap();
        assert_eq!(log.watermark(), 1);
        assert_eq!(recovered.cut, None, "length {length}, synced {synced}");
    }
}

#[test]
fn a_header_with_impossible_numbers_is_refused() {
    for (at, number) in [
        (32, 0),
        (40, 0),
        (48, 0),
        (40, u64::MAX),
        (48, u64::MAX - 5),
    ] {
        let storage = SimStorage::new();
        write(&storage, 3);
        let name = "segment-00000000000000000001.hlog";
        storage.damage(name, |bytes| {
            bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
            let crc = crc32c::crc32c(&bytes[..508]);
            bytes[508..512].copy_from_slice(&crc.to_le_bytes());
        });
        let kind = refusal(&storage);
        assert!(
            matches!(kind, ErrorKind::Corrupt { offset: 0, .. }),
            "{at}: {kind:?}"
        );
        assert_ne!(check_on(&storage).unwrap().problems, []);
        hence_log::salvage_on(&storage, drop).unwrap();
    }
}

#[test]
fn an_index_that_does_not_fit_its_segment_is_made_again() {
    let whole = SimStorage::new();
    write(&whole, 60);
    let name = "index-00000000000000000002.hidx";
    // Its next commit, its next position, its end.
    for (at, bytes) in [(40, 8), (48, 8), (72, 4)] {
        for value in [0, u64::MAX] {
            let storage = whole.fork();
            storage.damage(name, |index| {
                index[at..at + bytes].copy_from_slice(&u64::to_le_bytes(value)[..bytes]);
                let body = index.len() - 4;
                let crc = crc32c::crc32c(&index[..body]);
                index[body..].copy_from_slice(&crc.to_le_bytes());
            });
            let opened = Log::open_on(Arc::new(storage), Options::default());
            assert_eq!(opened.unwrap().1.watermark(), 60);
        }
    }
}

#[test]
fn a_file_with_the_name_of_no_segment_is_left_alone() {
    for generation in [0, u64::MAX] {
        let storage = SimStorage::new();
        write(&storage, 3);
        let name = format!("segment-{generation:020}.hlog");
        hence_log::Storage::create(&storage, &name).unwrap();
        let salvaged = hence_log::salvage_on(&storage, drop).unwrap();
        assert_eq!((salvaged.frames, salvaged.holes), (3, Vec::new()));
        assert_eq!(check_on(&storage).unwrap().problems, []);
    }
}
