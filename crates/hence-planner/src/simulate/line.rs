//! Waiting lines: who is next.
#![allow(
    clippy::indexing_slicing,
    reason = "lane and class numbers are bounded when they enter"
)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::simulate::job::{NONE, Slab};

/// A lane: the events of one key, one in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    head: u32,
    tail: u32,
    busy: bool,
}

const IDLE: Lane = Lane {
    head: NONE,
    tail: NONE,
    busy: false,
};

/// Lanes and the ready ones among them, by (class, rank of the head or turn).
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    ready: BinaryHeap<Reverse<(u16, u64, u32)>>,
    by_class: bool,
    /// The next turn, where lanes take turns.
    turn: Option<u64>,
}

/// Waiting jobs in their order of service.
#[derive(Debug)]
pub(crate) enum Line {
    Queue(VecDeque<u32>),
    Classes(Vec<VecDeque<u32>>),
    /// Smallest (value, rank) first.
    Sorted(BinaryHeap<Reverse<(u64, u64, u32)>>),
    Lanes(Lanes),
}

impl Lanes {
    pub(crate) fn new(count: u32, by_class: bool, turns: bool) -> Self {
        Self {
            lanes: vec![IDLE; count as usize],
            ready: BinaryHeap::new(),
            by_class,
            turn: turns.then_some(0),
        }
    }

    fn lane_of(&self, key: u32) -> usize {
        key as usize % self.lanes.len().max(1)
    }

    fn announce(&mut self, lane: usize, jobs: &Slab) {
        let head = self.lanes[lane].head;
        if head != NONE {
            let job = &jobs[head];
            let class = if self.by_class { job.class } else { 0 };
            let order = match &mut self.turn {
                Some(turn) => {
                    *turn += 1;
                    *turn
                }
                None => job.rank,
            };
            self.ready.push(Reverse((class, order, lane as u32)));
        }
    }

    fn push(&mut self, slot: u32, jobs: &mut Slab) {
        let lane = self.lane_of(jobs[slot].key);
        jobs[slot].next = NONE;
        let state = &mut self.lanes[lane];
        if state.head == NONE {
            state.head = slot;
            state.tail = slot;
            if !state.busy {
                self.announce(lane, jobs);
            }
        } else {
            jobs[state.tail].next = slot;
            state.tail = slot;
        }
    }

    fn pop(&mut self, jobs: &mut Slab) -> Option<u32> {
        let Reverse((_, _, lane)) = self.ready.pop()?;
        let state = &mut self.lanes[lane as usize];
        let slot = state.head;
        state.head = jobs[slot].next;
        state.busy = true;
        jobs[slot].next = NONE;
        Some(slot)
    }

    /// The key's event in flight has ended.
    pub(crate) fn release(&mut self, key: u32, jobs: &Slab) {
        let lane = self.lane_of(key);
        self.lanes[lane].busy = false;
        self.announce(lane, jobs);
    }

    /// The key's event in flight comes back to the head of its lane.
    pub(crate) fn give_back(&mut self, slot: u32, jobs: &mut Slab) {
        let lane = self.lane_of(jobs[slot].key);
        let state = &mut self.lanes[lane];
        jobs[slot].next = state.head;
        if state.head == NONE {
            state.tail = slot;
        }
        state.head = slot;
        state.busy = false;
        self.announce(lane, jobs);
    }
}

impl Line {
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, value: u64, jobs: &mut Slab) {
        match self {
            Self::Queue(queue) => queue.push_back(slot),
            Self::Classes(queues) => {
                let class = (jobs[slot].class as usize).min(queues.len() - 1);
                queues[class].push_back(slot);
            }
            Self::Sorted(heap) => heap.push(Reverse((value, jobs[slot].rank, slot))),
            Self::Lanes(lanes) => lanes.push(slot, jobs),
        }
    }

    /// An interrupted job goes back to where it was.
    pub(crate) fn push_front(&mut self, slot: u32, value: u64, jobs: &mut Slab) {
        match self {
            Self::Queue(queue) => queue.push_front(slot),
            Self::Classes(queues) => {
                let class = (jobs[slot].class as usize).min(queues.len() - 1);
                queues[class].push_front(slot);
            }
            Self::Sorted(_) => self.push(slot, value, jobs),
            Self::Lanes(lanes) => lanes.give_back(slot, jobs),
        }
    }

    /// The next to be served: the oldest of the most urgent.
    #[inline]
    pub(crate) fn pop(&mut self, jobs: &mut Slab) -> Option<u32> {
        match self {
            Self::Queue(queue) => queue.pop_front(),
            Self::Classes(queues) => queues.iter_mut().find_map(VecDeque::pop_front),
            Self::Sorted(heap) => heap.pop().map(|Reverse((_, _, slot))| slot),
            Self::Lanes(lanes) => lanes.pop(jobs),
        }
    }

    /// The newest, of a plain queue.
    pub(crate) fn pop_newest(&mut self) -> Option<u32> {
        match self {
            Self::Queue(queue) => queue.pop_back(),
            _ => None,
        }
    }

    /// The oldest, of a plain queue, without taking it.
    pub(crate) fn oldest(&self) -> Option<u32> {
        match self {
            Self::Queue(queue) => queue.front().copied(),
            _ => None,
        }
    }
}
