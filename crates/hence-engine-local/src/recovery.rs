//! The tables at the start: those of the newest snapshot, and what the log says since.
//!
//! Of an event that is followed by as many as are known by their ids, the id is forgotten by the
//! end. So it is not worked out at all: such an event is only counted for those that take its type.

use hence_core::codec::compact;
use hence_core::error::Result;
use hence_log::{Frame, Recovered};

use crate::Options;
use crate::identity::IdentityKey;
use crate::journal::{time, translate};
use crate::op::{APPEND, Op};
use crate::snapshot::thaw;
use crate::state::State;

/// Brings the tables to where the log ends. `last` is the newest position.
pub(crate) fn recover(
    recovered: &Recovered,
    last: u64,
    key: IdentityKey,
    options: &Options,
) -> Result<State> {
    if let Some(cut) = &recovered.cut {
        tracing::warn!(?cut, "the log ended in a torn frame, which was cut off");
    }
    let ids = options.dedup_events.max(1) as u64;
    let from = (last + 1).saturating_sub(ids);
    let (state, forgot) = replay_all(recovered, key, options, from)?;
    // Where a crash gave up positions there are fewer events than those of the last so many
    // positions. That is rare, and not worth counting them in advance.
    match forgot && state.dedup.has_room() {
        true => Ok(replay_all(recovered, key, options, 0)?.0),
        false => Ok(state),
    }
}

/// Replays the log behind the snapshot; says whether the ids of events before `from` were left out.
fn replay_all(
    recovered: &Recovered,
    key: IdentityKey,
    options: &Options,
    from: u64,
) -> Result<(State, bool)> {
    let mut state = match &recovered.snapshot {
        Some(snapshot) => thaw(snapshot.bytes.clone(), options.dedup_events)?,
        None => State::new(options.dedup_events),
    };
    let forgot = state.next < from;
    if forgot {
        state.dedup.forget();
    }
    let mut frames = recovered.frames();
    while let Some(frame) = frames.next_frame().map_err(translate)? {
        replay(&mut state, key, &frame, from)?;
    }
    Ok((state, forgot))
}

/// Applies one stored frame to the state.
fn replay(state: &mut State, key: IdentityKey, frame: &Frame, from: u64) -> Result<()> {
    let time = time(frame.time());
    for op in frame.ops() {
        if let Some(position) = op.position {
            // Positions have a gap where a crash made some of them doubtful.
            state.next = position;
            if position < from && op.kind == APPEND {
                state.count(op.tag, compact::event_type(&op.body)?, |_| {});
                continue;
            }
        }
        state.apply(&Op::decode(key, op.kind, op.tag, op.body)?, time);
    }
    Ok(())
}
