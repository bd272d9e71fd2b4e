//! Jobs in flight: a slab, reused, so that the loop never allocates in the steady state.
#![allow(
    clippy::indexing_slicing,
    reason = "slots are handed out by the slab itself"
)]

/// No job, no root.
pub(crate) const NONE: u32 = u32::MAX;

/// One copy of an event on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    /// Ticks at which the event was born.
    pub(crate) born: u64,
    /// Ticks at which it entered its station.
    pub(crate) entered: u64,
    /// Ticks at which it first entered its station, retries apart.
    pub(crate) first: u64,
    /// Ticks at which it expires at its station.
    pub(crate) deadline: u64,
    /// Ticks at which its service began.
    pub(crate) started: u64,
    /// Number of its event in what was recorded, if it was.
    pub(crate) record: u32,
    /// Service left, ticks.
    pub(crate) service: u64,
    /// Position in the order of arrival at the station.
    pub(crate) rank: u64,
    pub(crate) key: u32,
    /// Next in a lane or in a batch.
    pub(crate) next: u32,
    /// The event it is a copy of, when there is more than one copy or attempt.
    pub(crate) root: u32,
    /// The siblings among which some wait for others, if any does.
    pub(crate) fan: u32,
    /// Ticks at which it was sent to its station, behind a gate or not.
    pub(crate) sent: u64,
    /// Incarnation of the slot.
    pub(crate) serial: u32,
    /// Number of service starts in the slot.
    pub(crate) epoch: u32,
    pub(crate) station: u16,
    pub(crate) source: u16,
    pub(crate) class: u16,
    pub(crate) attempt: u16,
    /// How often the client had sent it before.
    pub(crate) client_attempt: u16,
    pub(crate) place: Place,
    /// The client has given up on it.
    pub(crate) abandoned: bool,
    /// The service was cut by the handler's time-out.
    pub(crate) cut: bool,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Free,
    Waiting,
    Serving,
    /// Served, but the next station is full.
    Blocked,
    /// Blocked before its first station.
    Outside,
    BackingOff,
}

/// Storage of jobs.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    jobs: Vec<Job>,
    free: Vec<u32>,
}

impl Slab {
    #[inline]
    pub(crate) fn add(&mut self, mut job: Job) -> u32 {
        if let Some(slot) = self.free.pop() {
            let old = &mut self.jobs[slot as usize];
            job.serial = old.serial.wrapping_add(1);
            job.epoch = old.epoch;
            *old = job;
            return slot;
        }
        self.jobs.push(job);
        (self.jobs.len() - 1) as u32
    }

    #[inline]
    pub(crate) fn remove(&mut self, slot: u32) {
        self.jobs[slot as usize].place = Place::Free;
        self.free.push(slot);
    }

    pub(crate) fn live(&self) -> usize {
        self.jobs.len() - self.free.len()
    }
}

impl std::ops::Index<u32> for Slab {
    type Output = Job;
    #[inline]
    fn index(&self, slot: u32) -> &Job {
        &self.jobs[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Slab {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut Job {
        &mut self.jobs[slot as usize]
    }
}
