//! `Trace`: the calls of a subject in their order, as `strace` wrote them down.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;

/// What `strace` appends to a call that it made fail.
const INJECTED: &str = "(INJECTED)";
/// Of how many threads of a subject calls are looked at.
const THREADS_MAX: usize = 64;

/// One call.
struct Call {
    thread: String,
    name: String,
    /// From the arguments on.
    rest: String,
}

/// All calls, in the order in which they began.
pub(super) struct Trace {
    calls: Vec<Call>,
    killed: bool,
}

impl Trace {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
        let mut calls: Vec<Call> = Vec::new();
        let mut open: HashMap<String, usize> = HashMap::new();
        for line in text.lines() {
            let Some((thread, rest)) = line.split_once(char::is_whitespace) else {
                continue;
            };
            let (thread, rest) = (thread.to_owned(), rest.trim_start());
            if rest.starts_with("<...") {
                // The end of a call that began above.
                if let Some(call) = open.remove(&thread).and_then(|at| calls.get_mut(at)) {
                    call.rest.push_str(rest);
                }
            } else if let Some((name, rest)) = rest.split_once('(') {
                if rest.contains("<unfinished") && open.len() < THREADS_MAX {
                    open.insert(thread.clone(), calls.len());
                }
                calls.push(Call {
                    thread,
                    name: name.to_owned(),
                    rest: rest.to_owned(),
                });
            }
        }
        Ok(Self {
            calls,
            killed: text.contains("+++ killed by SIGKILL"),
        })
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed
    }

    /// The ordinals, in their thread, of the calls of this name; of `openat` only those that name
    /// something in the directory.
    pub(super) fn ordinals(&self, name: &str, dir: &Path) -> Vec<u64> {
        let dir = dir.display().to_string();
        let mut counts: HashMap<&str, u64> = HashMap::new();
        let mut found = HashSet::new();
        for call in self.calls.iter().filter(|call| call.name == name) {
            let count = counts.entry(&call.thread).or_default();
            *count += 1;
            if name != "openat" || call.rest.contains(&dir) {
                found.insert(*count);
            }
        }
        let mut found: Vec<u64> = found.into_iter().collect();
        found.sort_unstable();
        found
    }

    /// Which call was the first to be made to fail.
    pub(super) fn injected(&self) -> Option<usize> {
        self.calls
            .iter()
            .position(|call| call.rest.contains(INJECTED))
    }

    /// Whether the call that was made to fail was on a file of the log itself, not on a snapshot or
    /// an index, without which it goes on.
    pub(super) fn hit_a_segment(&self) -> bool {
        let Some(at) = self.injected() else {
            return false;
        };
        let descriptor = |call: &Call| call.rest.split([')', ',']).next().map(str::to_owned);
        let Some(failed) = self.calls.get(at).and_then(descriptor) else {
            return false;
        };
        let given = format!("= {failed}");
        let opened = self.calls.iter().take(at).rev();
        let opened = opened.filter(|call| call.name == "openat");
        let name = opened
            .map(|call| &call.rest)
            .find(|rest| rest.ends_with(&given));
        name.is_some_and(|rest| rest.contains("segment-") || rest.contains("spare-"))
    }

    /// The ids of events that were announced after the fault and acknowledged.
    pub(super) fn acknowledged_after_fault(&self) -> Vec<String> {
        let Some(fault) = self.injected() else {
            return Vec::new();
        };
        let later = || {
            self.calls
                .iter()
                .skip(fault)
                .filter(|call| call.name == "write")
        };
        let ids = |kind: &'static str| {
            let marker = format!("\\\"is\\\":\\\"{kind}\\\",\\\"id\\\":\\\"");
            let id = move |call: &Call| {
                let after = call.rest.split_once(&marker)?.1;
                Some(after.split('\\').next()?.to_owned())
            };
            later().filter_map(id).collect::<HashSet<String>>()
        };
        let (sent, acknowledged) = (ids("send"), ids("ack"));
        acknowledged.intersection(&sent).cloned().collect()
    }

    /// A sync on a descriptor on which one was made to fail before.
    pub(super) fn retried_sync(&self) -> Option<String> {
        let is_sync = |call: &Call| matches!(&*call.name, "fsync" | "fdatasync");
        let descriptor = |call: &Call| call.rest.split([')', ',', ' ']).next().map(str::to_owned);
        let mut failed = HashSet::new();
        for call in &self.calls {
            let descriptor = descriptor(call).unwrap_or_default();
            if call.name == "close" {
                failed.remove(&descriptor);
            } else if is_sync(call) {
                if failed.contains(&descriptor) {
                    return Some(format!("{}({}", call.name, call.rest));
                }
                if call.rest.contains(INJECTED) {
                    failed.insert(descriptor);
                }
            }
        }
        None
    }
}
