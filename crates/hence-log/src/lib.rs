//! A durable, segmented log of frames: bytes, positions, recovery.
