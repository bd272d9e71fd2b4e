//! A log of many more segments than its process may have files open.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hence_log::sim::{ENOSPC, Fault, SimStorage};
use hence_log::{
    ErrorKind, File, Level, Lock, Log, Op, Options, Retention, Space, Storage, backup_on, check_on,
    restore_on, salvage_on, salvage_to_on,
};

const EMFILE: i32 = 24;
/// As many files as the process may have open.
const FILES_MAX: usize = 48;
/// Segments of the log, at least.
const SEGMENTS: usize = 1_000;

/// A storage that gives out so many files and no more.
#[derive(Clone)]
struct Scarce {
    below: SimStorage,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Counted {
    file: Box<dyn File>,
    open: Arc<AtomicUsize>,
}

impl Scarce {
    fn new() -> Self {
        Self {
            below: SimStorage::new(),
            open: Arc::default(),
            most: Arc::default(),
        }
    }

    fn count(&self, make: impl FnOnce() -> io::Result<Box<dyn File>>) -> io::Result<Box<dyn File>> {
        if self.open.load(Ordering::Relaxed) >= FILES_MAX {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let file = make()?;
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(open, Ordering::Relaxed);
        let open = Arc::clone(&self.open);
        Ok(Box::new(Counted { file, open }))
    }

    fn open_now(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl File for Counted {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

impl Storage for Scarce {
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.count(|| self.below.open(name))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.count(|| self.below.create(name))
    }
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.below.create_dir(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.below.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.below.remove(name)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.below.list(dir)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.below.sync_dir(dir)
    }
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.below.lock(name)
    }
    fn space(&self) -> io::Result<Space> {
        self.below.space()
    }
    fn unique(&self) -> io::Result<[u8; 16]> {
        self.below.unique()
    }
}

fn options() -> Options {
    Options::default()
        .segment_bytes(4 << 10)
        .tail_bytes(0)
        .read_ahead(1024)
        .reserve_bytes(0)
}

/// A log of many segments, each with two appends that say which they are.
fn many(storage: &Scarce) -> (hence_log::Writer, Log, u64) {
    let (mut writer, log, _) = Log::open_on(Arc::new(storage.clone()), options()).unwrap();
    let count = 2 * SEGMENTS as u64;
    for position in 1..=count {
        writer
            .stage(position, [Op::append(1, &body(position))])
            .unwrap();
        writer.commit(Level::Synced).unwrap();
    }
    (writer, log, count)
}

fn body(position: u64) -> Vec<u8> {
    position.to_le_bytes().repeat(150)
}

/// Reads everything by one reader, and some of it by position.
fn read_all(log: &Log, count: u64) {
    let mut reader = log.reader(1);
    for position in 1..=count {
        let record = reader.next_record().unwrap().unwrap();
        assert_eq!(
            (record.position, record.body),
            (position, body(position).into())
        );
    }
    assert!(reader.next_record().unwrap().is_none());
    for position in (1..=count).step_by(97) {
        assert_eq!(log.read(position).unwrap().unwrap().position, position);
    }
}

#[test]
fn a_log_has_more_segments_than_its_process_may_open_files() {
    let storage = Scarce::new();
    let (writer, log, count) = many(&storage);
    read_all(&log, count);
    drop(log);
    writer.close().unwrap();
    assert_eq!(storage.open_now(), 0, "a log that is closed holds a file");

    let report = check_on(&storage).unwrap();
    assert!(
        report.problems.is_empty() && report.segments >= SEGMENTS,
        "{report:?}"
    );
    assert_eq!(report.frames, count);

    // Without their indexes, too, every segment is read when the log is opened.
    for name in storage.below.list("").unwrap() {
        if name.ends_with(".hidx") {
            storage.below.remove(&name).unwrap();
        }
    }
    let (writer, log, recovered) = Log::open_on(Arc::new(storage.clone()), options()).unwrap();
    assert_eq!(recovered.replay(drop).unwrap(), count);
    drop(recovered);
    read_all(&log, count);

    let to = Scarce::new();
    let about = backup_on(&storage, &to).unwrap();
    assert_eq!(about.commits, (1, count));
    let back = Scarce::new();
    restore_on(&to, Arc::new(back.clone())).unwrap();
    let (_writer, restored, _) = Log::open_on(Arc::new(back), options()).unwrap();
    read_all(&restored, count);

    let mut frames = 0;
    let salvaged = salvage_on(&storage, |_| frames += 1).unwrap();
    assert_eq!((salvaged.holes.len(), frames), (0, count));
    let rescued = salvage_to_on(&storage, Arc::new(Scarce::new())).unwrap();
    assert_eq!((rescued.frames, rescued.left_out.len()), (count, 0));
    drop((writer, log));
    assert!(storage.most.load(Ordering::Relaxed) < FILES_MAX);
}

#[test]
fn readers_in_many_segments_share_few_files() {
    let storage = Scarce::new();
    let (_writer, log, count) = many(&storage);
    let mut readers: Vec<_> = (1..count).step_by(8).map(|from| log.reader(from)).collect();
    assert!(readers.len() > 2 * FILES_MAX);
    for turn in 0..8 {
        for (at, reader) in readers.iter_mut().enumerate() {
            let position = 1 + 8 * at as u64 + turn;
            if position <= count {
                assert_eq!(reader.next_record().unwrap().unwrap().position, position);
            }
        }
    }
}

#[test]
fn a_failed_opening_is_told_and_reading_goes_on() {
    let storage = Scarce::new();
    let (_writer, log, count) = many(&storage);
    let mut reader = log.reader(1);
    let mut held = Vec::new();
    while let Ok(file) = storage
        .open("lock-of-another")
        .or_else(|_| storage.create(&format!("{}.other", held.len())))
    {
        held.push(file);
    }
    let error = reader.next_record().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error:?}");
    drop(held);
    for position in 1..=count {
        assert_eq!(reader.next_record().unwrap().unwrap().position, position);
    }
}

/// What is written stays open, also after a group that failed: no reader may close it.
#[test]
fn the_end_of_the_log_stays_open_after_a_group_that_failed() {
    let storage = Scarce::new();
    let (mut writer, log, count) = many(&storage);
    writer.stage(count, [Op::append(1, b"one")]).unwrap();
    storage.below.plan(1, Fault::Error(ENOSPC));
    let error = writer.commit(Level::Synced).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Full);
    // More files than stay open to be read, then as many as the process may have.
    for position in (1..count / 2).step_by(2) {
        assert!(log.read(position).unwrap().is_some());
    }
    let mut held = Vec::new();
    while let Ok(file) = storage.create(&format!("{}.other", held.len())) {
        held.push(file);
    }
    let staged = writer.stage(count, [Op::append(1, b"two")]).unwrap();
    writer.commit(Level::Synced).unwrap();
    assert_eq!(log.poisoned().map(|error| error.to_string()), None);
    drop(held);
    let found = log.read(staged.first_position).unwrap().unwrap();
    assert_eq!(found.body, "two");
}

#[test]
fn a_segment_that_was_deleted_is_named_and_one_that_was_retired_has_expired() {
    let storage = Scarce::new();
    let (_writer, log, count) = many(&storage);
    let mut deleted = log.reader(count / 2);
    deleted.next_record().unwrap().unwrap();
    let mut retired = log.reader(1);
    retired.next_record().unwrap().unwrap();
    // Both files are closed while the rest is read.
    let mut reader = log.reader(count / 2 + 20);
    while reader.next_record().unwrap().is_some() {}

    let name = (1..)
        .map(|generation: u64| format!("segment-{generation:020}.hlog"))
        .nth((count / 2 / 2) as usize)
        .unwrap();
    storage.below.remove(&name).unwrap();
    let error = loop {
        match deleted.next_record() {
            Ok(found) => assert!(found.is_some(), "nobody missed {name}"),
            Err(error) => break error,
        }
    };
    assert_eq!(*error.kind(), ErrorKind::MissingSegment { file: name });

    let settled = Some(20);
    let retention = Retention {
        settled,
        ..Retention::default()
    };
    assert!(log.retain(&retention).unwrap().segments > 0);
    let error = loop {
        match retired.next_record() {
            Ok(found) => assert!(found.is_some()),
            Err(error) => break error,
        }
    };
    let first = log.first_position();
    assert_eq!(*error.kind(), ErrorKind::Expired { first });
}
