//! What a commit changes of the state of keys, and what a timer does when it is due.

use hence_core::commit::{Change, What};
use hence_core::error::{Code, Result};

use super::reserve::Holder;
use super::{Pending, Turn, Undo, Window};
use crate::dedup::Known;
use crate::identity::{Append, IdentityKey};
use crate::keyed::{self, KEYED_VALUE_BYTES_MAX, Room, STATE_BYTES_MAX, STATE_ENTRIES_MAX};
use crate::op::Op;
use crate::state::State;
use crate::timers::{self, Timer, TimerId};

/// About how much memory a change takes until it is applied.
pub(super) fn size(change: &Change) -> usize {
    let what = match &change.what {
        What::Write(value) => value.len(),
        What::SetTimer { message, .. } => message.footprint(),
        What::Remove | What::CancelTimer { .. } => 0,
    };
    change.key.len() + what
}

impl<W: Window> Turn<'_, W> {
    pub(super) fn change(&mut self, change: Change) -> Result<()> {
        let Change {
            subscription: name,
            key,
            what,
        } = change;
        let (subscription, _) = self.state.named(&name)?;
        let timer = |key, name| TimerId {
            subscription,
            key,
            name,
        };
        let op = match what {
            What::Write(value) => {
                let size = value.len();
                if size > KEYED_VALUE_BYTES_MAX {
                    return Err(Code::STATE_FULL.error(format!(
                        "a value of {size} bytes for key '{key}' of '{name}'; at most \
                         {KEYED_VALUE_BYTES_MAX} are kept"
                    )));
                }
                let before = self.state.keyed.weight(subscription, &key);
                let more = keyed::weigh(&key, &value).beyond(before);
                self.hold(&name, Holder::Value(subscription, key.clone()), more)?;
                let value = Some(value);
                Op::Keyed {
                    subscription,
                    key,
                    value,
                }
            }
            What::Remove => Op::Keyed {
                subscription,
                key,
                value: None,
            },
            What::SetTimer {
                name: of,
                due,
                message,
            } => {
                let (id, message) = (timer(key, of), *message);
                let before = self.state.timers.weight(&id);
                let more = timers::weigh(&id, &message).beyond(before);
                self.hold(&name, Holder::Timer(id.clone()), more)?;
                self.pending.sets_timers = true;
                Op::TimerSet(Box::new((id, Timer { due, message })))
            }
            What::CancelTimer { name: of } => {
                let id = timer(key, of);
                if !self.pending.sets_timers && !self.state.timers.contains(&id) {
                    return Ok(());
                }
                Op::TimerEnded(id)
            }
        };
        self.ops.push(op);
        Ok(())
    }

    /// Counts what is to be kept in addition, or refuses it. What goes makes room once it is gone.
    fn hold(&mut self, name: &str, holder: Holder, more: Room) -> Result<()> {
        let reserve = &self.pending.reserve;
        let more = reserve.beyond(&holder, more);
        let mut room = self.state.room();
        room.add(reserve.all());
        room.add(more);
        let full = |limit: String| {
            let of = format!("'{name}' cannot keep more state: {limit}");
            Err(Code::STATE_FULL.error(of))
        };
        if more.entries > 0 && room.entries > STATE_ENTRIES_MAX {
            return full(format!(
                "there are {STATE_ENTRIES_MAX} values and timers already"
            ));
        }
        if more.bytes > 0 && room.bytes > STATE_BYTES_MAX {
            return full(format!(
                "values and timers have {STATE_BYTES_MAX} bytes already"
            ));
        }
        self.pending.reserve.add(holder.clone(), more);
        self.pending.undo.push(Undo::Room(holder, more));
        Ok(())
    }
}

/// Decides that a timer fires: it ends, and its event takes the next position unless it is known.
pub(crate) fn fire(
    state: &State,
    pending: &mut Pending,
    (id, timer): (&TimerId, &Timer),
    key: IdentityKey,
    ops: &mut Vec<Op>,
) {
    pending.begin();
    let append = Append::new(key, timer.message.clone());
    let known = pending.ids.get(&append.id).copied();
    match known.or_else(|| state.dedup.get(append.id)) {
        Some(Known { position, content }) if content != append.content => tracing::warn!(
            position,
            name = id.name,
            "the event of a timer has the id of another one, and is not published"
        ),
        Some(_) => {}
        None => {
            pending.note(state, &append);
            ops.push(Op::Append(append));
        }
    }
    ops.push(Op::TimerEnded(id.clone()));
}
