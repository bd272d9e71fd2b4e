//! `Queue`: commits on their way to the writer, bounded, in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hence_core::commit::{Durability, Receipt};
use hence_core::error::Result;
use hence_core::subscription::SubscriptionSpec;
use tokio::sync::oneshot;

use crate::decide::Prepared;

/// Commits that wait for the writer before publishers have to wait, too.
pub const QUEUE_COMMITS_MAX: usize = 8192;
/// Memory that these commits may take.
pub const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Who hears what became of a commit.
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// What the writer is asked to do.
#[allow(
    clippy::large_enum_variant,
    reason = "almost every request is a commit; a box would cost each of them an allocation"
)]
pub(crate) enum Request {
    /// To commit; nobody waits for the answer at `accepted`.
    Commit(Prepared, Option<Answer<Vec<Receipt>>>),
    /// To begin or change a subscription.
    Subscribe(Box<Subscribe>),
}

/// A subscription that begins or changes.
pub(crate) struct Subscribe {
    pub(crate) spec: SubscriptionSpec,
    /// Where it begins, if that is not at the end.
    pub(crate) start: Option<u64>,
    /// Up to which position open messages were counted, and how many there were.
    pub(crate) counted: (u64, u64),
    pub(crate) answer: Answer<()>,
}

/// How the writer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// With everything that was taken, a snapshot, and the mark of a clean end.
    Close,
    /// At once, as if the process had been killed.
    Abandon,
}

/// Who leads: stores what is in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Led {
    #[default]
    Nobody,
    /// The writer's.
    Thread,
    /// By nobody yet: the commit of a caller found nobody at work. Whoever comes next wakes the
    /// thread instead, because that caller need not come back.
    Claimed,
    /// A caller's, until it returns.
    Caller,
}

#[derive(Default)]
struct Inner {
    taken: VecDeque<Request>,
    bytes: usize,
    /// Behind the taken ones, while these are too many. Each belongs to a caller that waits.
    waiting: VecDeque<Request>,
    stop: Option<Stop>,
    led: Led,
    /// Whether callers stored something since the thread last waited.
    active: bool,
    /// Whether the thread waits without an end.
    parked: bool,
    /// Whether the thread is to look after what callers leave to it.
    look: bool,
}

/// The queue before the writer.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    work: Condvar,
    commits_max: usize,
}

/// What the writer wakes up to.
pub(crate) enum Wake {
    /// Requests were put into its hands.
    Work,
    /// There was nothing to do for a while.
    Idle,
    /// It ends.
    Stop(Stop),
}

impl Queue {
    pub(crate) fn new(commits_max: usize) -> Self {
        Self {
            inner: Mutex::default(),
            work: Condvar::new(),
            commits_max: commits_max.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request into the queue; gives it back when there is no room and it is not to wait,
    /// or when the writer ends.
    pub(crate) fn push(&self, request: Request, wait: bool) -> Result<(), Refused> {
        self.push_or_lead(request, wait, false).map(drop)
    }

    /// As [`Queue::push`]; true if the caller may lead now, since nobody is at work: it asks
    /// [`Queue::lead`] for it, or gives it up with [`Queue::give_up`].
    pub(crate) fn push_or_lead(
        &self,
        mut request: Request,
        wait: bool,
        may_lead: bool,
    ) -> Result<bool, Refused> {
        let mut inner = self.lock();
        if inner.stop.is_some() {
            return Err(Refused::Stopped);
        }
        if inner.waiting.is_empty() && self.has_room(&inner) {
            request.accept();
            inner.bytes += request.size();
            let is_first = inner.led == Led::Nobody && inner.taken.is_empty();
            // A thread that waits without an end would never look after what is not led after all.
            let leads = may_lead && is_first && !inner.parked;
            inner.taken.push_back(request);
            // Whoever leads hands over what is left.
            let wake = !leads && matches!(inner.led, Led::Nobody | Led::Claimed);
            match inner.led {
                _ if leads => inner.led = Led::Claimed,
                Led::Claimed => inner.led = Led::Nobody,
                Led::Nobody | Led::Thread | Led::Caller => {}
            }
            drop(inner);
            if wake {
                self.work.notify_one();
            }
            return Ok(leads);
        }
        if !wait {
            return Err(Refused::Full(Box::new(request)));
        }
        inner.waiting.push_back(request);
        Ok(false)
    }

    /// Begins the lead of a caller, and moves everything into `work`; false if the thread has it by
    /// now. It ends with [`Queue::release`].
    pub(crate) fn lead(&self, work: &mut VecDeque<Request>) -> bool {
        let mut inner = self.lock();
        if inner.led != Led::Claimed {
            return false;
        }
        inner.led = Led::Caller;
        std::mem::swap(work, &mut inner.taken);
        inner.bytes = 0;
        self.admit(&mut inner);
        true
    }

    /// Leaves to the thread what a caller might have led.
    pub(crate) fn give_up(&self) {
        let mut inner = self.lock();
        if inner.led == Led::Claimed {
            inner.led = Led::Nobody;
            drop(inner);
            self.work.notify_one();
        }
    }

    /// Ends the lead of a caller; the thread goes on with what is left, or looks after the rest.
    pub(crate) fn release(&self, look: bool) {
        let mut inner = self.lock();
        inner.led = Led::Nobody;
        inner.active = true;
        inner.look |= look || inner.parked;
        let wake = inner.look || !inner.taken.is_empty() || inner.stop.is_some();
        drop(inner);
        if wake {
            self.work.notify_one();
        }
    }

    fn has_room(&self, inner: &Inner) -> bool {
        inner.taken.len() < self.commits_max && inner.bytes < QUEUE_BYTES_MAX
    }

    /// Waits for work, for a while, and moves all of it into `work`, which may be nothing. From then
    /// on until the next call the thread leads.
    pub(crate) fn take(&self, work: &mut VecDeque<Request>, patience: Option<Duration>) -> Wake {
        let mut inner = self.lock();
        inner.led = match inner.led {
            Led::Thread => Led::Nobody,
            other => other,
        };
        inner.active = false;
        loop {
            if inner.led != Led::Caller
                && let Some(wake) = self.woken(&mut inner, work)
            {
                inner.led = Led::Thread;
                return wake;
            }
            inner.parked = patience.is_none();
            inner = match patience {
                None => self
                    .work
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.work.wait_timeout(inner, patience);
                    let (mut inner, result) = waited.unwrap_or_else(PoisonError::into_inner);
                    let nothing = inner.taken.is_empty() && inner.stop.is_none() && !inner.look;
                    let idle = inner.led != Led::Caller && nothing;
                    if result.timed_out() && !std::mem::take(&mut inner.active) && idle {
                        inner.led = Led::Thread;
                        return Wake::Idle;
                    }
                    inner
                }
            };
            inner.parked = false;
        }
    }

    /// What there is to do while no caller leads.
    fn woken(&self, inner: &mut Inner, work: &mut VecDeque<Request>) -> Option<Wake> {
        if inner.stop == Some(Stop::Abandon) {
            return Some(Wake::Stop(Stop::Abandon));
        }
        let look = std::mem::take(&mut inner.look);
        if !inner.taken.is_empty() {
            std::mem::swap(work, &mut inner.taken);
            inner.bytes = 0;
            self.admit(inner);
            return Some(Wake::Work);
        }
        match inner.stop {
            Some(stop) => Some(Wake::Stop(stop)),
            None => look.then_some(Wake::Work),
        }
    }

    /// Takes what waited, as far as there is room now.
    fn admit(&self, inner: &mut Inner) {
        while self.has_room(inner)
            && let Some(mut request) = inner.waiting.pop_front()
        {
            if request.is_abandoned() {
                continue;
            }
            request.accept();
            inner.bytes += request.size();
            inner.taken.push_back(request);
        }
    }

    /// Tells the writer to end; requests that were not taken yet are dropped with their answers.
    pub(crate) fn stop(&self, stop: Stop) {
        let mut inner = self.lock();
        if inner.stop.is_none() || stop == Stop::Abandon {
            inner.stop = Some(stop);
        }
        inner.waiting.clear();
        if stop == Stop::Abandon {
            inner.taken.clear();
        }
        drop(inner);
        self.work.notify_one();
    }
}

/// Why a request was not taken.
pub(crate) enum Refused {
    Full(Box<Request>),
    Stopped,
}

impl Request {
    fn size(&self) -> usize {
        match self {
            Self::Commit(commit, _) => commit.size(),
            Self::Subscribe(_) => 0,
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Self::Commit(_, answer) => answer.as_ref().is_some_and(Answer::is_closed),
            Self::Subscribe(subscribe) => subscribe.answer.is_closed(),
        }
    }

    /// Answers a commit that asked for no more than a place in the queue.
    fn accept(&mut self) {
        if let Self::Commit(commit, answer) = self
            && commit.durability == Durability::Accepted
            && let Some(answer) = answer.take()
        {
            let receipt = |append: &crate::identity::Append| {
                Receipt::new(append.message.clone(), None, Durability::Accepted)
            };
            // Nobody listens any more: it is in the queue all the same.
            drop(answer.send(Ok(commit.publish.iter().map(receipt).collect())));
        }
    }
}
