//! A disk that is this process: what was written and not flushed is in its cache, and a cut takes of
//! that whatever the dice say, sector by sector and in no order.
//!
//! The kernel sees it as one file of a FUSE file system, on which a loop device lies. The loop
//! device turns a flush of its file system into an `fsync` of that file, which is answered when
//! all that was written before is durable.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite,
    Request, WriteFlags,
};
use hence_log::sim::Dice;

use crate::place::Place;

/// What a disk writes whole.
const SECTOR: usize = 512;
/// The name of the file.
const NAME: &str = "disk";
/// Of so many sectors in the cache a cut takes one, in its three moods: all, half, few.
const TAKEN: [u64; 3] = [1, 2, 8];

type Sector = [u8; SECTOR];

/// What the disk holds.
struct Platter {
    durable: Vec<u8>,
    cache: HashMap<usize, Sector>,
    /// Which power-on it is. The file of an earlier one is another file.
    era: u64,
    /// Without power nothing becomes durable; the kernel may go on talking to the cache.
    powered: bool,
}

impl Platter {
    fn file(&self) -> INodeNo {
        INodeNo(INodeNo::ROOT.0 + self.era)
    }

    fn sector(&self, number: usize) -> Option<Sector> {
        let begin = number * SECTOR;
        let durable = || self.durable.get(begin..)?.first_chunk().copied();
        self.cache.get(&number).copied().or_else(durable)
    }

    fn write(&mut self, offset: usize, mut data: &[u8]) -> Option<()> {
        let mut at = offset;
        while !data.is_empty() {
            let (number, within) = (at / SECTOR, at % SECTOR);
            let mut sector = self.sector(number)?;
            let (part, rest) = data.split_at(data.len().min(SECTOR - within));
            sector
                .get_mut(within..within + part.len())?
                .copy_from_slice(part);
            self.cache.insert(number, sector);
            (data, at) = (rest, at + part.len());
        }
        Some(())
    }

    fn read(&self, offset: usize, length: usize) -> Vec<u8> {
        let end = (offset + length).min(self.durable.len());
        let mut bytes = Vec::with_capacity(length + SECTOR);
        for number in offset / SECTOR..end.div_ceil(SECTOR) {
            bytes.extend(self.sector(number).into_iter().flatten());
        }
        bytes.truncate(end.saturating_sub(offset / SECTOR * SECTOR));
        bytes.split_off((offset % SECTOR).min(bytes.len()))
    }

    fn keep(&mut self, number: usize, sector: &Sector) {
        let slot = self
            .durable
            .get_mut(number * SECTOR..)
            .and_then(|rest| rest.first_chunk_mut());
        if let Some(slot) = slot {
            *slot = *sector;
        }
    }

    fn flush(&mut self) {
        if self.powered {
            let cache = std::mem::take(&mut self.cache);
            cache
                .iter()
                .for_each(|(number, kept)| self.keep(*number, kept));
        }
    }

    /// The cache is lost, but for what happened to have reached the platter. What the kernel still
    /// says goes to a cache that nobody will ever flush.
    fn cut(&mut self, dice: &mut Dice) {
        let mood = usize::try_from(dice.below(TAKEN.len() as u64)).unwrap_or(0);
        let taken = TAKEN.get(mood).copied().unwrap_or(1);
        let mut numbers: Vec<usize> = self.cache.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(sector) = self.cache.get(&number).copied()
                && dice.below(taken) > 0
            {
                self.keep(number, &sector);
            }
        }
        self.powered = false;
    }

    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_root = inode == INodeNo::ROOT;
        let size = self.durable.len() as u64;
        FileAttr {
            ino: inode,
            size: if is_root { 0 } else { size },
            blocks: size / SECTOR as u64,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_root {
                FileType::Directory
            } else {
                FileType::RegularFile
            },
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

fn locked(platter: &Mutex<Platter>) -> MutexGuard<'_, Platter> {
    platter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel talks to.
struct Server(Arc<Mutex<Platter>>);

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let platter = locked(&self.0);
        if parent == INodeNo::ROOT && name == NAME {
            let found = platter.attributes(platter.file());
            reply.entry(&Duration::ZERO, &found, Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &locked(&self.0).attributes(inode));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(&locked(&self.0).read(offset as usize, size as usize));
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut platter = locked(&self.0);
        if inode == platter.file() && platter.write(offset as usize, data).is_none() {
            reply.error(Errno::ENOSPC);
        } else {
            reply.written(data.len() as u32);
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // The end of a handle, and no flush of a disk.
        reply.ok();
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let mut platter = locked(&self.0);
        if inode == platter.file() {
            platter.flush();
        }
        reply.ok();
    }
}

/// The disk as its campaign holds it.
pub(super) struct Disk {
    platter: Arc<Mutex<Platter>>,
    path: PathBuf,
    _session: BackgroundSession,
}

impl Disk {
    /// An empty disk of this size, below a directory of the place.
    pub(super) fn new(place: &Place, bytes: u64) -> Result<Self> {
        let dir = place.path("disk");
        std::fs::create_dir(&dir)?;
        let platter = Arc::new(Mutex::new(Platter {
            durable: vec![0; usize::try_from(bytes)?],
            cache: HashMap::new(),
            era: 1,
            powered: true,
        }));
        let server = Server(Arc::clone(&platter));
        let session = fuser::spawn_mount(server, &dir, &Config::default());
        Ok(Self {
            platter,
            path: dir.join(NAME),
            _session: session.context("a FUSE file system could not be mounted")?,
        })
    }

    /// The file that the disk is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the power, and does what else happens at that moment: until it is done the disk answers
    /// nothing, so nobody can have learnt that something became durable which did not.
    pub(super) fn cut<T>(&self, dice: &mut Dice, meanwhile: impl FnOnce() -> T) -> T {
        let mut platter = locked(&self.platter);
        platter.cut(dice);
        meanwhile()
    }

    /// Gives it power again, as another file; what was in the cache is gone.
    pub(super) fn revive(&self) {
        let mut platter = locked(&self.platter);
        platter.cache.clear();
        platter.era += 1;
        platter.powered = true;
    }
}

#[cfg(test)]
mod tests;
