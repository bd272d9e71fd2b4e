//! `Breakable`: a directory on the disk whose writes can be made to fail.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hence_log::{DiskStorage, File, Lock, Space, Storage};

/// A directory that takes writes until it is told to fail.
#[derive(Clone)]
pub(crate) struct Breakable {
    disk: Arc<DiskStorage>,
    broken: Arc<AtomicBool>,
}

impl Breakable {
    pub(crate) fn new(path: &str) -> Self {
        Self {
            disk: Arc::new(DiskStorage::new(path).unwrap()),
            broken: Arc::default(),
        }
    }

    /// Lets every further write fail.
    pub(crate) fn fail(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        match self.broken.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the test broke this disk")),
            false => Ok(()),
        }
    }

    fn file(&self, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(Part(file, self.clone()))
    }
}

struct Part(Box<dyn File>, Breakable);

impl File for Part {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.1.check()?;
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.check()?;
        self.0.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.1.check()?;
        self.0.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

impl Storage for Breakable {
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.file(self.disk.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.check()?;
        Ok(self.file(self.disk.create(name)?))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.check()?;
        self.disk.create_dir(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check()?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check()?;
        self.disk.remove(name)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.check()?;
        self.disk.sync_dir(dir)
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(name)
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }

    fn unique(&self) -> io::Result<[u8; 16]> {
        self.disk.unique()
    }
}
