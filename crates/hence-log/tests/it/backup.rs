//! Backups: of a log that is being written, cut short, tampered with, and restored.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hence_log::sim::{EIO, ENOSPC, Fault, SimStorage};
use hence_log::{
    Backup, Error, ErrorKind, Level, Log, Op, Options, Retention, Storage as _, backup, backup_on,
    check, rebuild, restore, restore_on, stat, survey, verify, verify_on,
};

fn tiny() -> Options {
    Options::default().segment_bytes(4 << 10).reserve_bytes(0)
}

/// A commit as it can be compared: number, position, time, body.
type Commit = (u64, u64, u64, Vec<u8>);

fn commits(log: &Log) -> Vec<Commit> {
    let mut frames = log.frames(0);
    let mut all = Vec::new();
    while let Some(frame) = frames.next_frame().unwrap() {
        let ops: Vec<u8> = frame.ops().flat_map(|op| op.body.to_vec()).collect();
        all.push((frame.number(), frame.position(), frame.time(), ops));
    }
    all
}

fn commits_in(dir: &Path) -> Vec<Commit> {
    commits(&Log::open(dir, tiny()).unwrap().1)
}

fn stage(writer: &mut hence_log::Writer, at: u64) {
    let body = format!("{at:0100}").into_bytes();
    let ops = [Op::append(1, &body), Op::other(1, 0, b"x")];
    writer.stage(at, ops).unwrap();
}

/// So many commits, half of them reflected by a snapshot; not closed.
fn write(storage: Arc<dyn hence_log::Storage>, count: u64) -> Vec<Commit> {
    let (mut writer, log, _) = Log::open_on(storage, tiny()).unwrap();
    for at in 1..=count {
        stage(&mut writer, at);
        writer.commit(Level::Synced).unwrap();
        if at == count / 2 {
            log.store_snapshot(log.durable_frame(), b"half").unwrap();
        }
    }
    commits(&log)
}

fn on_disk(dir: &Path, count: u64) -> Vec<Commit> {
    write(Arc::new(hence_log::DiskStorage::new(dir).unwrap()), count)
}

fn kind(error: &Error) -> ErrorKind {
    error.kind().clone()
}

fn files(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

#[test]
fn a_backup_is_restored_as_it_was_and_goes_on_behind() {
    let home = tempfile::tempdir().unwrap();
    let place = |name: &str| home.path().join(name);
    let before = on_disk(&place("data"), 200);
    let about = backup(place("data"), place("copy")).unwrap();
    assert_eq!(survey(place("data")).unwrap(), about);
    assert_eq!((about.commits, about.positions), ((1, 200), (1, 200)));
    assert_eq!(about.until, 200);
    assert_eq!(verify(place("copy")).unwrap(), about);
    assert_eq!(restore(place("copy"), place("again")).unwrap(), about);
    assert_eq!(check(place("again")).unwrap().problems, []);
    assert_eq!(commits_in(&place("again")), before);
    let (mut writer, log, recovered) = Log::open(place("again"), tiny()).unwrap();
    assert_eq!(log.id(), about.log);
    assert!(recovered.clean && recovered.cut.is_none());
    assert_eq!(&*recovered.snapshot.as_ref().unwrap().bytes, b"half");
    // Between the last commit and the next one there is nothing to read, and nothing to wait for.
    for position in [200, 201, 1_000_000, log.watermark(), log.watermark() + 1] {
        let record = log.reader(position).next_record().unwrap();
        assert_eq!(record.is_some(), position == 200, "{position}");
    }
    stage(&mut writer, 201);
    writer.commit(Level::Synced).unwrap();
    // The lost log may have had other commits at the positions just behind.
    assert!(log.watermark() > 1_000_000, "{}", log.watermark());
    assert_eq!(commits(&log).len(), 201);
    writer.close().unwrap();
    drop((log, recovered));
    backup(place("again"), place("second")).unwrap();
    restore(place("second"), place("third")).unwrap();
    assert_eq!(commits_in(&place("third")), commits_in(&place("again")));
}

#[test]
fn what_was_acknowledged_before_the_backup_is_in_it_while_the_log_is_written_and_retired() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let (mut writer, log, _) = Log::open(&data, tiny().spares(2)).unwrap();
    stage(&mut writer, 1);
    writer.commit(Level::Synced).unwrap();
    let ended = AtomicBool::new(false);
    let acknowledged = AtomicU64::new(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 1;
            while !ended.load(Ordering::Relaxed) {
                at += 1;
                stage(&mut writer, at);
                let level = if at % 3 == 0 {
                    Level::Written
                } else {
                    Level::Synced
                };
                writer.commit(level).unwrap();
                acknowledged.store(at, Ordering::Release);
                if at % 50 == 0 {
                    log.store_snapshot(log.durable_frame(), b"state").unwrap();
                    let settled = Some(at.saturating_sub(300));
                    log.retain(&Retention {
                        settled,
                        ..Retention::default()
                    })
                    .unwrap();
                }
            }
        });
        for round in 0..8 {
            let begun = acknowledged.load(Ordering::Acquire);
            // Between two rounds the log rolls and retires.
            while acknowledged.load(Ordering::Acquire) < begun + 150 {
                std::thread::yield_now();
            }
            let begun = acknowledged.load(Ordering::Acquire);
            let copy = home.path().join(format!("copy-{round}"));
            let about = backup(&data, &copy).unwrap();
            assert!(about.commits.1 >= begun, "{about:?} of {begun}");
            let again = home.path().join(format!("again-{round}"));
            restore(&copy, &again).unwrap();
            let restored = commits_in(&again);
            assert_eq!(restored.len() as u64, about.commits.1 + 1 - about.commits.0);
            for (number, position, time, body) in restored {
                assert_eq!((number, number), (position, time));
                assert!(body.starts_with(format!("{number:0100}").as_bytes()));
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert!(
        log.first_frame() > 1,
        "retention went on between the backups"
    );
}

/// A kill may come when the new directory has its lock and nothing else.
#[test]
fn a_directory_with_a_lock_alone_is_empty() {
    let home = tempfile::tempdir().unwrap();
    let place = |name: &str| home.path().join(name);
    let written = on_disk(&place("data"), 3);
    for name in ["copy", "back"] {
        std::fs::create_dir(place(name)).unwrap();
        std::fs::write(place(name).join("lock"), "").unwrap();
    }
    backup(place("data"), place("copy")).unwrap();
    restore(place("copy"), place("back")).unwrap();
    assert_eq!(commits_in(&place("back")), written);
}

#[test]
fn segments_stay_while_a_backup_is_taken() {
    let disk = SimStorage::new();
    write(Arc::new(disk.clone()), 200);
    let (_writer, log, _) = Log::open_on(Arc::new(disk.clone()), tiny()).unwrap();
    log.store_snapshot(200, b"all").unwrap();
    log.store_snapshot(199, b"all").unwrap();
    let all = Retention {
        settled: Some(200),
        ..Retention::default()
    };
    let pin = disk.lock("pin").unwrap();
    let retired = log.retain(&all).unwrap();
    assert!(retired.pinned && retired.segments == 0, "{retired:?}");
    drop(pin);
    let retired = log.retain(&all).unwrap();
    assert!(!retired.pinned && retired.segments > 1, "{retired:?}");
}

#[test]
fn a_log_whose_beginning_was_retired_takes_its_snapshot_along() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    on_disk(&data, 200);
    let (writer, log, _) = Log::open(&data, tiny()).unwrap();
    let settled = Some(90);
    assert!(
        log.retain(&Retention {
            settled,
            ..Retention::default()
        })
        .unwrap()
        .segments
            > 0
    );
    let before = commits(&log);
    writer.close().unwrap();
    drop(log);
    backup(&data, home.path().join("copy")).unwrap();
    restore(home.path().join("copy"), home.path().join("again")).unwrap();
    assert_eq!(commits_in(&home.path().join("again")), before);
    let snapshot = files(&data)
        .into_iter()
        .find(|name| name.starts_with("snapshot-"));
    std::fs::remove_file(data.join(snapshot.unwrap())).unwrap();
    let error = backup(&data, home.path().join("without")).unwrap_err();
    assert!(matches!(kind(&error), ErrorKind::Corrupt { .. }), "{error}");
}

#[test]
fn a_damaged_log_makes_no_backup_and_a_torn_end_does() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    on_disk(&data, 100);
    let segments: Vec<_> = files(&data)
        .into_iter()
        .filter(|name| name.starts_with("segment-"))
        .collect();
    for (at, name) in segments.iter().enumerate() {
        let path = data.join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[600] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        let copy = home.path().join(format!("copy-{at}"));
        let error = backup(&data, &copy).unwrap_err();
        assert!(
            matches!(kind(&error), ErrorKind::Corrupt { file, .. } if file == *name),
            "{error}"
        );
        assert!(matches!(
            kind(&verify(&copy).unwrap_err()),
            ErrorKind::Backup { .. }
        ));
        std::fs::write(&path, whole).unwrap();
    }
    // The last frame cut short: no process can tell it from one that is just being written.
    let path = data.join(segments.last().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end] = 0;
    std::fs::write(&path, bytes).unwrap();
    let about = backup(&data, home.path().join("torn")).unwrap();
    assert_eq!(about.commits.1, 99);
    restore(home.path().join("torn"), home.path().join("again")).unwrap();
    assert_eq!(commits_in(&home.path().join("again")).len(), 99);
}

#[test]
fn a_backup_with_any_byte_changed_is_refused_before_anything_is_written() {
    let home = tempfile::tempdir().unwrap();
    let (data, copy) = (home.path().join("data"), home.path().join("copy"));
    on_disk(&data, 60);
    let about = backup(&data, &copy).unwrap();
    let target = home.path().join("target");
    let refused = |file: &str, what: &str| {
        let error = restore(&copy, &target).unwrap_err();
        let named = matches!(
            kind(&error),
            ErrorKind::Backup { file: found, .. } if found == file
        );
        assert!(named, "{what} of {file}: {error}");
        assert!(!target.exists(), "{what} of {file}");
    };
    let manifest = std::fs::read(copy.join("manifest")).unwrap();
    for at in 0..manifest.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bytes = manifest.clone();
            bytes[at] ^= bit;
            std::fs::write(copy.join("manifest"), bytes).unwrap();
            refused("manifest", "a flipped byte");
        }
        std::fs::write(copy.join("manifest"), &manifest[..at]).unwrap();
        refused("manifest", "a cut");
    }
    std::fs::write(copy.join("manifest"), &manifest).unwrap();
    let names: Vec<_> = files(&copy)
        .into_iter()
        .filter(|name| name != "manifest")
        .collect();
    assert_eq!((names.len(), about.files), (about.files, names.len()));
    for name in &names {
        let path = copy.join(name);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(397) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            refused(name, "a flipped bit");
        }
        std::fs::write(&path, &whole[1..]).unwrap();
        refused(name, "a missing byte");
        std::fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        refused(name, "one more byte");
        std::fs::remove_file(&path).unwrap();
        refused(name, "the absence");
        std::fs::write(&path, whole).unwrap();
    }
    // The segment of another log with the same name.
    let other = home.path().join("other");
    on_disk(&other, 60);
    backup(&other, home.path().join("other-copy")).unwrap();
    let whole = std::fs::read(copy.join(&names[0])).unwrap();
    std::fs::copy(
        home.path().join("other-copy").join(&names[0]),
        copy.join(&names[0]),
    )
    .unwrap();
    refused(&names[0], "another log's segment");
    std::fs::write(copy.join(&names[0]), whole).unwrap();
    assert_eq!(restore(&copy, &target).unwrap(), about);
}

#[test]
fn a_newer_form_of_backup_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let body = "hence-backup 2\nsomething else\n";
    let seal = {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(body);
        hash.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let text = format!("{body}sha256 {seal}\n");
    std::fs::write(home.path().join("manifest"), text).unwrap();
    let error = verify(home.path()).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn what_is_taken_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let place = |name: &str| home.path().join(name);
    on_disk(&place("data"), 20);
    std::fs::create_dir_all(place("folder/inside")).unwrap();
    std::fs::create_dir(place("empty")).unwrap();
    std::fs::write(place("file"), "x").unwrap();
    let into = |to: &str| kind(&backup(place("data"), place(to)).unwrap_err());
    assert_eq!(into("data"), ErrorKind::NotEmpty);
    assert_eq!(into("folder"), ErrorKind::NotEmpty);
    assert_eq!(into("file"), ErrorKind::NotADirectory);
    let about = backup(place("data"), place("empty")).unwrap();
    assert_eq!(into("empty"), ErrorKind::NotEmpty);
    let into = |to: &str| kind(&restore(place("empty"), place(to)).unwrap_err());
    assert_eq!(into("data"), ErrorKind::NotEmpty);
    assert_eq!(into("folder"), ErrorKind::NotEmpty);
    for from in ["absent", "folder"] {
        let error = backup(place(from), place("new")).unwrap_err();
        assert_eq!(kind(&error), ErrorKind::NotALog);
        assert!(!place("new").exists());
    }
    assert_eq!(
        kind(&restore(place("absent"), place("new")).unwrap_err()),
        ErrorKind::NotALog
    );
    let error = restore(place("data"), place("new")).unwrap_err();
    assert!(matches!(kind(&error), ErrorKind::Backup { .. }), "{error}");
    // A backup is no log.
    let is_no_log = |result: Result<(), Error>| {
        let found = kind(&result.unwrap_err());
        assert!(matches!(found, ErrorKind::NotRestored { .. }), "{found:?}");
    };
    is_no_log(Log::open(place("empty"), tiny()).map(drop));
    is_no_log(check(place("empty")).map(drop));
    is_no_log(stat(place("empty")).map(drop));
    is_no_log(rebuild(place("empty")).map(drop));
    is_no_log(backup(place("empty"), place("new")).map(drop));
    assert_eq!(verify(place("empty")).unwrap(), about);
}

/// Lets every call of a step fail once, in turn, and looks at what is left each time.
fn each_call(
    fault: Fault,
    mut step: impl FnMut(&SimStorage) -> Result<Backup, Error>,
    look: impl Fn(&SimStorage, &Result<Backup, Error>),
) {
    for call in 1.. {
        let target = SimStorage::new();
        target.plan(call, fault);
        let done = step(&target);
        if target.fired() == 0 {
            assert!(done.is_ok() && call > 20, "{done:?} after {call} calls");
            return;
        }
        if !matches!(fault, Fault::PowerCut) {
            target.kill();
        }
        target.crash(call);
        look(&target, &done);
    }
}

#[test]
fn a_backup_that_was_cut_short_at_any_call_is_none_and_can_be_taken_again() {
    let source = SimStorage::new();
    let before = write(Arc::new(source.clone()), 60);
    source.kill();
    for fault in [Fault::PowerCut, Fault::Error(EIO), Fault::Error(ENOSPC)] {
        each_call(
            fault,
            |target| backup_on(&source.fork(), target),
            |target, done| {
                if let Err(error) = verify_on(target) {
                    assert!(done.is_err(), "{error}: it was said to be whole");
                    assert!(
                        matches!(kind(&error), ErrorKind::Backup { file, .. } if file == "manifest"),
                        "{error}"
                    );
                    let again = backup_on(&source.fork(), target).unwrap();
                    assert_eq!(verify_on(target).unwrap(), again);
                }
                let restored = SimStorage::new();
                restore_on(target, Arc::new(restored.clone())).unwrap();
                let (_, log, _) = Log::open_on(Arc::new(restored), tiny()).unwrap();
                assert_eq!(commits(&log), before);
            },
        );
    }
}

#[test]
fn a_restore_that_was_cut_short_at_any_call_opens_as_nothing_and_can_be_done_again() {
    let source = SimStorage::new();
    let before = write(Arc::new(source.clone()), 60);
    source.kill();
    let copy = SimStorage::new();
    backup_on(&source, &copy).unwrap();
    for fault in [Fault::PowerCut, Fault::Error(EIO), Fault::Error(ENOSPC)] {
        each_call(
            fault,
            |target| restore_on(&copy.fork(), Arc::new(target.clone())),
            |target, done| {
                let names = target.names();
                let begun = names.iter().any(|name| name.starts_with("segment-"));
                let opened = Log::open_on(Arc::new(target.fork()), tiny());
                match opened {
                    Ok((_, log, _)) if begun => assert_eq!(commits(&log), before, "{names:?}"),
                    Ok((_, log, _)) => assert!(done.is_err() && commits(&log).is_empty()),
                    Err(error) => {
                        let unfinished = matches!(kind(&error), ErrorKind::NotRestored { .. });
                        assert!(done.is_err() && unfinished, "{names:?}: {error}");
                        restore_on(&copy.fork(), Arc::new(target.clone())).unwrap();
                        let (_, log, _) = Log::open_on(Arc::new(target.clone()), tiny()).unwrap();
                        assert_eq!(commits(&log), before);
                    }
                }
            },
        );
    }
}

#[test]
fn a_full_disk_is_told_apart() {
    let source = SimStorage::new();
    write(Arc::new(source.clone()), 60);
    source.kill();
    let target = SimStorage::new();
    target.limit(Some(5000));
    let error = backup_on(&source, &target).unwrap_err();
    assert!(matches!(kind(&error), ErrorKind::NoRoom { .. }), "{error}");
    target.limit(None);
    let about = backup_on(&source, &target).unwrap();
    let restored = SimStorage::new();
    restored.limit(Some(9000));
    let error = restore_on(&target, Arc::new(restored.clone())).unwrap_err();
    assert!(matches!(kind(&error), ErrorKind::NoRoom { .. }), "{error}");
    restored.limit(None);
    assert_eq!(restore_on(&target, Arc::new(restored)).unwrap(), about);
}
