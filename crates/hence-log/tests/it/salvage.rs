//! Logs made anew from damaged ones, and logs without what was derived from them.

use std::path::Path;

use hence_log::{
    ErrorKind, Level, Log, Op, Options, Retention, backup, check, rebuild, restore, salvage,
    salvage_to, would_rebuild, would_salvage,
};

fn tiny() -> Options {
    Options::default().segment_bytes(4 << 10)
}

fn body(at: u64) -> Vec<u8> {
    format!("{at:0100}").into_bytes()
}

/// A log of so many commits, one append each; each tenth says something else too.
fn write(dir: &Path, commits: u64) {
    let (mut writer, log, _) = Log::open(dir, tiny()).unwrap();
    for at in 1..=commits {
        let body = body(at);
        let append = Op::append(1, &body);
        if at % 10 == 0 {
            writer.stage(at, [append, Op::other(1, 0, b"x")]).unwrap();
        } else {
            writer.stage(at, [append]).unwrap();
        }
        writer.commit(Level::Synced).unwrap();
        if at == commits / 2 {
            log.store_snapshot(log.durable_frame(), b"half").unwrap();
        }
    }
    writer.close().unwrap();
}

fn read(dir: &Path) -> Vec<(u64, Vec<u8>)> {
    let (writer, log, _) = Log::open(dir, tiny()).unwrap();
    let mut reader = log.reader(0);
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        found.push((record.position, record.body.to_vec()));
    }
    writer.close().unwrap();
    found
}

fn segment(dir: &Path, generation: u64) -> std::path::PathBuf {
    dir.join(format!("segment-{generation:020}.hlog"))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_intact_log_is_copied_whole_under_its_own_id() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(old.path(), 100);
    let rescued = salvage_to(old.path(), new.path()).unwrap();
    assert_eq!((rescued.frames, rescued.records), (100, 100));
    assert_eq!((rescued.positions, rescued.snapshot), ((1, 100), false));
    assert_eq!(rescued.left_out, []);
    assert_eq!(check(new.path()).unwrap().problems, []);
    assert_eq!(read(new.path()), read(old.path()));
    let ids = [old.path(), new.path()].map(|dir| Log::open(dir, tiny()).unwrap().1.id());
    assert_eq!(ids[0], ids[1]);
    let next = Log::open(new.path(), tiny()).unwrap().0.next_position();
    assert_eq!(next, 101, "nothing of a clean log is in doubt");
}

#[test]
fn what_is_readable_of_a_damaged_log_opens_at_its_positions() {
    let old = tempfile::tempdir().unwrap();
    write(old.path(), 200);
    let whole = read(old.path());
    assert!(segment(old.path(), 5).exists());
    for (damage, most) in [
        // One frame; the frame and what its header says; a whole segment; a cut in the middle.
        (
            &(|dir: &Path| flip(&segment(dir, 2), 700)) as &dyn Fn(&Path),
            1,
        ),
        (&|dir: &Path| flip(&segment(dir, 2), 100), 0),
        (
            &|dir: &Path| std::fs::remove_file(segment(dir, 3)).unwrap(),
            40,
        ),
        (
            &|dir: &Path| {
                let file = std::fs::File::options();
                let file = { file }.write(true).open(segment(dir, 3)).unwrap();
                file.set_len(2000).unwrap();
            },
            40,
        ),
    ] {
        let (broken, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for entry in std::fs::read_dir(old.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), broken.path().join(entry.file_name())).unwrap();
        }
        // An index would spare the opening the look at the segment.
        for entry in std::fs::read_dir(broken.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "hidx") {
                std::fs::remove_file(path).unwrap();
            }
        }
        damage(broken.path());
        assert!(!check(broken.path()).unwrap().problems.is_empty());
        let foretold = would_salvage(broken.path()).unwrap();
        let rescued = salvage_to(broken.path(), new.path()).unwrap();
        assert_eq!(foretold, rescued);
        assert!(!rescued.left_out.is_empty(), "{rescued:?}");
        assert!(rescued.records + most >= 200, "{rescued:?}");
        assert_eq!(check(new.path()).unwrap().problems, []);
        let found = read(new.path());
        assert_eq!(found.len() as u64, rescued.records);
        assert!(found.iter().all(|record| whole.contains(record)));
        let next = Log::open(new.path(), tiny()).unwrap().0.next_position();
        assert!(
            next > 201,
            "positions of the old end do not come back: {next}"
        );
    }
}

#[test]
fn a_log_whose_beginning_was_retired_takes_its_snapshot_along() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(old.path(), 200);
    let (writer, log, _) = Log::open(old.path(), tiny()).unwrap();
    let retention = Retention {
        older_than: Some(80),
        ..Retention::default()
    };
    assert!(log.retain(&retention).unwrap().segments > 0);
    writer.close().unwrap();
    drop(log);
    let error = rebuild(old.path()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::SnapshotNeeded);

    let foretold = would_salvage(old.path()).unwrap();
    let rescued = salvage_to(old.path(), new.path()).unwrap();
    assert_eq!(foretold, rescued);
    assert!(rescued.snapshot && rescued.positions.0 > 1, "{rescued:?}");
    assert_eq!(read(new.path()), read(old.path()));
    let (_, _, recovered) = Log::open(new.path(), tiny()).unwrap();
    let snapshot = recovered.snapshot.unwrap();
    assert_eq!((snapshot.frame, &*snapshot.bytes), (100, &b"half"[..]));
}

#[test]
fn rebuilding_removes_what_the_commits_say_again() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 100);
    let before = read(dir.path());
    let held = Log::open(dir.path(), tiny()).unwrap();
    assert_eq!(*rebuild(dir.path()).unwrap_err().kind(), ErrorKind::Locked);
    drop(held);
    let foretold = would_rebuild(dir.path()).unwrap();
    let rebuilt = rebuild(dir.path()).unwrap();
    assert_eq!(foretold, rebuilt);
    assert!(rebuilt.snapshots == 1 && rebuilt.indexes > 1, "{rebuilt:?}");
    let (_, _, recovered) = Log::open(dir.path(), tiny()).unwrap();
    assert_eq!((&recovered.snapshot, recovered.clean), (&None, true));
    drop(recovered);
    assert_eq!(read(dir.path()), before);

    flip(&segment(dir.path(), 2), 700);
    let error = rebuild(dir.path()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
}

#[test]
fn what_is_no_log_is_told_apart_and_left_alone() {
    let (empty, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(other.path().join("thesis.tex"), "x").unwrap();
    let kind = |error: hence_log::Error| error.kind().clone();
    let absent = empty.path().join("absent");
    assert_eq!(kind(check(&absent).unwrap_err()), ErrorKind::NotALog);
    assert_eq!(
        kind(salvage(&absent, drop).unwrap_err()),
        ErrorKind::NotALog
    );
    assert_eq!(kind(rebuild(empty.path()).unwrap_err()), ErrorKind::NotALog);
    let to = empty.path().join("new");
    assert_eq!(
        kind(salvage_to(other.path(), &to).unwrap_err()),
        ErrorKind::NotALog
    );
    assert!(!to.exists(), "nothing was made");
    let file = other.path().join("thesis.tex");
    assert_eq!(kind(check(&file).unwrap_err()), ErrorKind::NotADirectory);

    write(empty.path(), 3);
    assert_eq!(
        kind(salvage_to(empty.path(), other.path()).unwrap_err()),
        ErrorKind::NotEmpty
    );
    let opened = Log::open(other.path(), tiny()).map(drop).unwrap_err();
    let file = "thesis.tex".to_owned();
    assert_eq!(kind(opened), ErrorKind::Foreign { file });
    let left = std::fs::read_dir(other.path()).unwrap().count();
    assert_eq!(left, 1, "something was made beside the thesis");
}

#[test]
fn positions_do_not_come_back_when_nothing_was_readable() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Every commit has many appends, so that positions run far ahead of bytes.
    let (mut writer, log, _) = Log::open(old.path(), tiny()).unwrap();
    for at in 1..=400 {
        writer.stage(at, [Op::append(1, b""); 400]).unwrap();
        writer.commit(Level::Synced).unwrap();
    }
    log.store_snapshot(log.durable_frame(), b"all").unwrap();
    let last = log.watermark();
    let settled = Retention {
        settled: Some(last),
        ..Retention::default()
    };
    assert!(log.retain(&settled).unwrap().segments > 0);
    let (frames, first) = (log.first_frame(), log.first_position());
    writer.close().unwrap();
    drop(log);
    let (name, _) = crate::naive::segments_in(old.path()).pop_first().unwrap();
    let path = old.path().join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[512..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let rescued = salvage_to(old.path(), new.path()).unwrap();
    assert_eq!((rescued.frames, rescued.snapshot), (0, true), "{first}");
    let (writer, log, recovered) = Log::open(new.path(), tiny()).unwrap();
    assert_eq!(recovered.snapshot.unwrap().bytes, "all");
    assert_eq!(log.first_frame(), frames);
    let next = writer.next_position();
    assert!(next > last, "{next} may have been one of {last}");
}

/// A log of ten commits that was restored from a backup, and where its next append goes.
fn restored(home: &Path) -> (std::path::PathBuf, u64) {
    let [data, copy, again] = ["data", "copy", "again"].map(|name| home.join(name));
    // With room for all that follows in one segment.
    let (mut writer, _, _) = Log::open(&data, Options::default().segment_bytes(1 << 20)).unwrap();
    for at in 1..=10 {
        writer.stage(at, [Op::append(1, &body(at))]).unwrap();
        writer.commit(Level::Synced).unwrap();
    }
    writer.close().unwrap();
    backup(&data, &copy).unwrap();
    restore(&copy, &again).unwrap();
    let (writer, _, _) = Log::open(&again, tiny()).unwrap();
    let next = writer.next_position();
    writer.close().unwrap();
    assert!(next > 1 << 26, "{next}");
    (again, next)
}

#[test]
fn positions_behind_a_gap_do_not_come_back_when_its_end_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let (again, next) = restored(home.path());
    // An event behind the gap, then a crash after one that was only written, and one more.
    let mut last = next;
    for level in [Level::Synced, Level::Written, Level::Synced] {
        let (mut writer, log, _) = Log::open(&again, tiny()).unwrap();
        let staged = writer.stage(11, [Op::append(1, b"behind the gap")]);
        last = staged.unwrap().first_position;
        writer.commit(level).unwrap();
        drop((writer, log));
    }
    assert!(last > next + 1000, "a reservation made a gap, too: {last}");
    let path = segment(&again, 1);
    assert!(!segment(&again, 2).exists());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[512..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let new = home.path().join("new");
    let rescued = salvage_to(&again, &new).unwrap();
    assert_eq!(rescued.frames, 0, "{rescued:?}");
    let goes_on = Log::open(&new, tiny()).unwrap().0.next_position();
    assert!(goes_on > last, "{goes_on} may have been one of {last}");
}

#[test]
fn an_intact_log_with_a_gap_at_its_end_goes_on_behind_the_gap() {
    let home = tempfile::tempdir().unwrap();
    let (again, next) = restored(home.path());
    let new = home.path().join("new");
    assert_eq!(salvage_to(&again, &new).unwrap().left_out, []);
    assert_eq!(Log::open(&new, tiny()).unwrap().0.next_position(), next);
}

#[test]
fn positions_of_a_last_segment_that_is_gone_do_not_come_back() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(old.path(), 200);
    let last = (1..).find(|&at| !segment(old.path(), at).exists()).unwrap() - 1;
    std::fs::remove_file(segment(old.path(), last)).unwrap();
    let rescued = salvage_to(old.path(), new.path()).unwrap();
    assert!(rescued.positions.1 < 200, "{rescued:?}");
    let next = Log::open(new.path(), tiny()).unwrap().0.next_position();
    // In a segment positions may be so far from its base.
    assert!(next > 3 << 30, "{next}");
    assert_eq!(check(new.path()).unwrap().problems, []);
}
