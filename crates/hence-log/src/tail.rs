//! Where the log ends, and the head of the next frame.

use std::sync::Arc;

use crate::frame::{FORMAT_VERSION, HEAD_BYTES, Head, Role};
use crate::log::Visible;
use crate::segment::{Segment, TRAILER_BYTES};

/// Where the next frame goes.
#[derive(Clone)]
pub(crate) struct Tail {
    pub(crate) segment: Arc<Segment>,
    pub(crate) end: u32,
    pub(crate) chain: u32,
    /// Bytes of the segment before this are durable.
    pub(crate) synced: u32,
    pub(crate) next_number: u64,
    pub(crate) next_position: u64,
    pub(crate) last_time: u64,
    pub(crate) last_other: u64,
    /// Positions below this are covered by a durable reservation.
    pub(crate) reserved: u64,
    pub(crate) marked: Marked,
}

/// With what marks a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    No,
    /// With one.
    Idle,
    /// With the two of a clean end.
    Closed,
}

impl Tail {
    /// Bytes that fit behind the tail: none in a segment of an older format, which is only read.
    pub(crate) fn room(&self) -> usize {
        if self.segment.header.version < FORMAT_VERSION {
            return 0;
        }
        (self.segment.header.bytes - self.end).saturating_sub(TRAILER_BYTES) as usize
    }

    /// Fills in a head for the end of the tail, and moves the tail behind the frame.
    pub(crate) fn lay_out(
        &mut self,
        role: Role,
        time: u64,
        position: u64,
        body: &[u8],
    ) -> (Head, [u8; 32]) {
        let mut head = Head {
            role,
            time,
            crc: 0,
            body_crc: crc32c::crc32c(body),
            previous: self.chain,
            length: u32::try_from(body.len()).expect("a frame is smaller than its segment"),
            synced: self.synced,
            position: u32::try_from(position - self.segment.header.base)
                .expect("a segment has fewer positions than bytes"),
        };
        let bytes = head.encode(self.segment.salt, self.end);
        self.end += HEAD_BYTES as u32 + head.length;
        self.chain = head.crc;
        self.marked = Marked::No;
        (head, bytes)
    }

    pub(crate) fn visible(&self) -> Visible {
        Visible {
            next_position: self.next_position,
            next_number: self.next_number,
            generation: self.segment.header.generation,
            end: self.end,
        }
    }
}
