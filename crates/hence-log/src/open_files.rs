//! Which files of segments are open: those that are written, and a few of those that were read last.
//!
//! A log of many segments would otherwise use up the descriptors of its process. A file that is
//! written stays open until nothing in it waits for a sync: what a failed sync left behind must not
//! be asked about through another descriptor, which would call it clean.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::log::locked;
use crate::storage::{File, Storage};

/// Files of segments that stay open to be read, of each log. To open another costs less than to read
/// and verify what is then read of it, so few are enough; each is a descriptor of the process.
pub(crate) const OPEN_FILES_MAX: usize = 32;

/// The files that are open to be read; the one that was read last is the last.
pub(crate) struct OpenFiles {
    storage: Arc<dyn Storage>,
    recent: Mutex<VecDeque<(u64, Arc<dyn File>)>>,
}

impl OpenFiles {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Arc<Self> {
        Arc::new(Self {
            storage,
            recent: Mutex::default(),
        })
    }

    /// The file of a generation, opened unless it is.
    fn get(&self, generation: u64, name: &str) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.take(generation) {
            self.put(generation, Arc::clone(&file));
            return Ok(file);
        }
        let file: Arc<dyn File> = self.storage.open(name)?.into();
        self.put(generation, Arc::clone(&file));
        Ok(file)
    }

    /// Keeps a file open, and closes the one that was not read for longest if there are too many.
    fn put(&self, generation: u64, file: Arc<dyn File>) {
        let mut recent = locked(&self.recent);
        recent.retain(|(open, _)| *open != generation);
        recent.push_back((generation, file));
        let closed = match recent.len() > OPEN_FILES_MAX {
            true => recent.pop_front(),
            false => None,
        };
        drop(recent);
        drop(closed);
    }

    fn take(&self, generation: u64) -> Option<Arc<dyn File>> {
        let mut recent = locked(&self.recent);
        let at = recent.iter().position(|(open, _)| *open == generation)?;
        recent.remove(at).map(|(_, file)| file)
    }
}

enum Place {
    /// Open until it is lent.
    Held(Arc<dyn File>),
    /// Opened when it is read, and closed when others are.
    Lent(Arc<OpenFiles>),
}

/// The file of a segment, open or not.
pub(crate) struct SegmentFile {
    name: String,
    generation: u64,
    place: RwLock<Place>,
}

impl SegmentFile {
    /// A file that stays open.
    pub(crate) fn new(name: String, generation: u64, file: Box<dyn File>) -> Self {
        Self {
            name,
            generation,
            place: RwLock::new(Place::Held(file.into())),
        }
    }

    /// Nothing that was written waits for a sync: the file is closed when others are read, and opened
    /// by its name when it is.
    pub(crate) fn lend(&self, files: &Arc<OpenFiles>) {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if let Place::Held(file) = &*place {
            files.put(self.generation, Arc::clone(file));
            *place = Place::Lent(Arc::clone(files));
        }
    }

    /// The file, to be read.
    fn opened(&self) -> io::Result<Arc<dyn File>> {
        match &*self.place.read().unwrap_or_else(PoisonError::into_inner) {
            Place::Held(file) => Ok(Arc::clone(file)),
            Place::Lent(files) => files.get(self.generation, &self.name),
        }
    }

    /// The file, to be written: it stays open from here on.
    fn held(&self) -> io::Result<Arc<dyn File>> {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        let file = match &*place {
            Place::Held(file) => return Ok(Arc::clone(file)),
            Place::Lent(files) => {
                let file = files.get(self.generation, &self.name)?;
                files.take(self.generation);
                file
            }
        };
        *place = Place::Held(Arc::clone(&file));
        Ok(file)
    }
}

impl Drop for SegmentFile {
    /// A file without its name takes room on the disk as long as it is open.
    fn drop(&mut self) {
        let place = self.place.get_mut();
        if let Place::Lent(files) = place.unwrap_or_else(PoisonError::into_inner) {
            files.take(self.generation);
        }
    }
}

impl File for SegmentFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.opened()?.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.held()?.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.held()?.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.held()?.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.opened()?.length()
    }

    fn has_name(&self) -> io::Result<bool> {
        self.opened()?.has_name()
    }

    fn identity(&self) -> io::Result<Option<(u64, u64)>> {
        self.opened()?.identity()
    }

    fn will_read(&self, offset: u64, bytes: u64) {
        // Advice: what cannot be opened tells whoever reads.
        if let Ok(file) = self.opened() {
            file.will_read(offset, bytes);
        }
    }

    fn next_written(&self, offset: u64) -> io::Result<Option<u64>> {
        self.opened()?.next_written(offset)
    }
}
