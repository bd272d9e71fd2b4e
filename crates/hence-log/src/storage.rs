//! The seam between the log and a disk: all input and output of the log goes through it, so that
//! tests can put a disk below that loses, tears and fails.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::planted::is_planted;

/// A flat directory with one level of subdirectories, named with `/`.
///
/// A name is durable only after [`sync_dir`](Self::sync_dir) of its directory, contents only after
/// [`File::sync_data`].
pub trait Storage: Send + Sync {
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Creates a file that does not exist, empty.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Creates a subdirectory, unless it exists.
    fn create_dir(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name; replaces a file of that name in one step.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names of the files in the directory (`""` is the log's own), in no order.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Makes names created, changed or removed in the directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Takes the only lock of this name, or fails with [`io::ErrorKind::WouldBlock`].
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>>;
    /// How much room there is.
    fn space(&self) -> io::Result<Space>;
    /// Sixteen bytes that no other log has.
    fn unique(&self) -> io::Result<[u8; 16]>;
}

/// An open file of a [`Storage`].
pub trait File: Send + Sync {
    /// Reads at an offset; may read less than asked for; 0 means the end of the file.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at an offset; may write less than asked for.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes contents and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Sets the length; new bytes are zero.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// The length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Whether some name leads to it still; whoever does not know says yes.
    fn has_name(&self) -> io::Result<bool> {
        Ok(true)
    }
    /// What tells it from every other file there is, whatever their names; `None` from whoever does
    /// not know.
    fn identity(&self) -> io::Result<Option<(u64, u64)>> {
        Ok(None)
    }
    /// Says that bytes will be read soon; nothing has to come of it.
    fn will_read(&self, _offset: u64, _bytes: u64) {}
    /// The first byte at or behind an offset that was ever written; all between the two are zero.
    /// `None` if there is none. Whoever does not know answers with the offset.
    fn next_written(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok(Some(offset))
    }
}

/// A lock that is held as long as this value lives.
pub trait Lock: Send + Sync {}

/// Room on a storage, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What can still be written.
    pub free: u64,
    /// The size of the whole storage.
    pub total: u64,
}

/// A directory on a real disk.
#[derive(Debug)]
pub struct DiskStorage {
    root: PathBuf,
    /// Files are opened to be read alone.
    read_only: bool,
}

impl DiskStorage {
    /// The directory, created if it does not exist.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        if !root.exists() {
            fs::create_dir_all(&root)?;
            // The new directory is itself a name in its parent.
            let parent = root.parent().filter(|p| !p.as_os_str().is_empty());
            sync_directory(parent.unwrap_or(Path::new(".")))?;
        }
        if root.is_dir() {
            Ok(Self {
                root,
                read_only: false,
            })
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// A directory that exists, to look at: nothing in it can be written through this.
    pub(crate) fn existing(root: &Path) -> io::Result<Self> {
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            root: root.to_owned(),
            read_only: true,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            self.root.clone()
        } else {
            self.root.join(name)
        }
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    Ok(rustix::fs::fsync(directory)?)
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(&self.0, into, offset)?)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(&self.0, bytes, offset)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.0)?)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(&self.0, length)?)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[cfg(unix)]
    fn has_name(&self) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt as _;
        Ok(self.0.metadata()?.nlink() > 0)
    }

    #[cfg(unix)]
    fn identity(&self) -> io::Result<Option<(u64, u64)>> {
        use std::os::unix::fs::MetadataExt as _;
        let about = self.0.metadata()?;
        Ok(Some((about.dev(), about.ino())))
    }

    #[cfg(target_os = "linux")]
    fn will_read(&self, offset: u64, bytes: u64) {
        let bytes = std::num::NonZeroU64::new(bytes);
        // Advice: if it is not taken, reading takes longer.
        let _ = rustix::fs::fadvise(&self.0, offset, bytes, rustix::fs::Advice::WillNeed);
    }

    #[cfg(target_os = "linux")]
    fn next_written(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.0, rustix::fs::SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            // A file system that does not know of holes.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOTSUP) => Ok(Some(offset)),
            Err(error) => Err(error.into()),
        }
    }
}

struct DiskLock {
    /// The lock ends when the descriptor is closed.
    _file: fs::File,
}

impl Lock for DiskLock {}

impl Storage for DiskStorage {
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = fs::File::options()
            .read(true)
            .write(!self.read_only)
            .open(self.path(name))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = fs::File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path(name))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn create_dir(&self, name: &str) -> io::Result<()> {
        match fs::create_dir(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(dir))? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            if let (true, Ok(name)) = (
                entry.file_type()?.is_file(),
                entry.file_name().into_string(),
            ) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        sync_directory(&self.path(dir))
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let mut options = fs::File::options();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(name))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(DiskLock { _file: file }))
    }

    fn space(&self) -> io::Result<Space> {
        let found = rustix::fs::statvfs(&self.root)?;
        let size = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space {
            free: size(found.f_bavail),
            total: size(found.f_blocks),
        })
    }

    fn unique(&self) -> io::Result<[u8; 16]> {
        let mut id = [0; 16];
        fs::File::open("/dev/urandom")?.read_exact(&mut id)?;
        Ok(id)
    }
}

/// Interruptions of one transfer after which it fails: a signal storm is no reason to hang.
const INTERRUPTIONS_MAX: u32 = 1000;

/// Writes everything, over short writes and interruptions.
pub(crate) fn write_all(file: &dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    let mut interruptions = 0;
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) if is_planted("ignore-short-write") => return Ok(()),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(error) => absorb(error, &mut interruptions)?,
        }
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends; says how much was read.
pub(crate) fn read_full(file: &dyn File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut interruptions = 0;
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) => absorb(error, &mut interruptions)?,
        }
    }
    Ok(done)
}

/// Passes on every error but an interruption.
fn absorb(error: io::Error, interruptions: &mut u32) -> io::Result<()> {
    *interruptions += 1;
    let goes_on = error.kind() == io::ErrorKind::Interrupted && *interruptions < INTERRUPTIONS_MAX;
    if goes_on { Ok(()) } else { Err(error) }
}

/// Whether an error says that there is no room, now: the caller may try again later.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
