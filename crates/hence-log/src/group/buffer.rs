//! The memory in which groups are put together.

use std::mem;

use bytes::{Bytes, BytesMut};

use super::{FRAME_BYTES, GROUP_BYTES_MAX, PAGE_BYTES, Writer};
use crate::frame::{END_BYTES, HEAD_BYTES, OP_HEAD_BYTES_MAX};

/// Bytes of the memory in which groups are put together, one behind the other: a full group, and what
/// its last commit adds. Readers of the newest groups share it, and when none of them holds it any
/// more it is used again: memory that was never touched costs more than what is written into it.
pub(crate) const BUFFER_BYTES: usize = GROUP_BYTES_MAX + GROUP_BYTES_MAX / 8;
/// Bytes that are free in a buffer when a commit is staged, at least.
pub(super) const ROOM_BYTES: usize = FRAME_BYTES + PAGE_BYTES;
/// What an operation may need beside its body: its own head, one of the frame, and what is written
/// behind the last.
pub(super) const OP_ROOM_BYTES: usize = OP_HEAD_BYTES_MAX + HEAD_BYTES + END_BYTES + PAGE_BYTES;

impl Writer {
    /// Moves the group to another buffer where less than this is left; returns the one it was in. The
    /// buffer never grows by itself: what it left behind nobody would count.
    pub(super) fn make_room(&mut self, bytes: usize) -> Option<BytesMut> {
        let length = self.buffer.len();
        if self.buffer.capacity() - length >= bytes {
            return None;
        }
        let mut other = self.shared.take_used_buffer();
        other.reserve(BUFFER_BYTES.max(2 * length).max(length + bytes));
        other.extend_from_slice(&self.buffer);
        Some(mem::replace(&mut self.buffer, other))
    }

    /// Gives up a buffer that the group was in. What is left of it stays as long as the groups before
    /// it there, so it is counted with the last of them.
    pub(super) fn leave(&mut self, former: &BytesMut) {
        if mem::take(&mut self.is_shared) {
            self.shared.hold_more(former.capacity());
        }
    }

    /// The frames of the group as readers hold them, and the memory that they take. The next group
    /// goes behind them, unless one like this would not fit there.
    pub(super) fn hand_over(&mut self, end: usize) -> (usize, Bytes) {
        let frames = self.buffer.split_to(end).freeze();
        self.buffer.clear();
        let left = self.buffer.capacity();
        self.is_shared = left >= end + ROOM_BYTES;
        if self.is_shared {
            return (end, frames);
        }
        self.buffer = BytesMut::new();
        (end + left, frames)
    }
}
