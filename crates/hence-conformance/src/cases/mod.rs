//! The cases, by what they are about.

use crate::case::Case;

/// Lists the cases of a module: name, further guarantees, and what an engine must declare.
macro_rules! cases {
    ($($name:ident [$($guarantee:literal),*] $need:expr;)*) => {
        pub(super) const CASES: &[$crate::case::Case] = &[$($crate::case::Case {
            name: stringify!($name),
            guarantees: &[$($guarantee),*],
            needs: $need,
            body: |world| Box::pin($name(world)),
        }),*];
    };
}

mod after;
mod attach;
mod cancel;
mod close;
mod content;
mod dead_letter;
mod delivery;
mod discard;
mod duplicate;
mod durability;
mod flow;
mod load;
mod publish;
mod reading;
mod redrive;
mod reporting;
mod retry;
mod settle;
mod state;

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let groups = [
        publish::CASES,
        durability::CASES,
        content::CASES,
        duplicate::CASES,
        reading::CASES,
        delivery::CASES,
        after::CASES,
        attach::CASES,
        settle::CASES,
        state::CASES,
        retry::CASES,
        dead_letter::CASES,
        redrive::CASES,
        discard::CASES,
        reporting::CASES,
        flow::CASES,
        load::CASES,
        cancel::CASES,
        close::CASES,
    ];
    groups.concat()
}
