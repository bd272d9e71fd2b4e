//! A chain of events as a tree: event, what each subscription did, what followed from that.

use std::collections::BTreeSet;
use std::time::Duration;

use hence::core::Timestamp;

use super::{Attempt, Delivery, Node};
use crate::cli::global::Times;
use crate::cli::moment;
use crate::cli::output::{Output, Style, clean};
use crate::cli::table::counted;
use crate::cli::tree::Branch;

/// Lays nodes out as a tree.
pub(super) struct Drawing<'a> {
    pub(super) out: &'a Output,
    pub(super) times: Times,
    /// The position of the event that was asked for.
    pub(super) asked: &'a str,
    pub(super) nodes: Vec<&'a Node>,
}

impl Drawing<'_> {
    /// The lines of the trees, each from an event whose cause is not among those that are kept.
    pub(super) fn lines(&self, kept: &BTreeSet<&str>) -> Vec<String> {
        let roots = self.nodes.iter().filter(|node| {
            let cause = node.cause.as_deref();
            cause.is_none_or(|cause| !kept.contains(cause))
        });
        roots.flat_map(|root| self.branch(root).lines()).collect()
    }

    /// An event, below it what each subscription did, below that what followed.
    pub(super) fn branch(&self, node: &Node) -> Branch {
        let mut branch = Branch::new(self.event(node));
        let mut hung = BTreeSet::new();
        for delivery in &node.deliveries {
            let emitted = delivery
                .attempts
                .iter()
                .flat_map(|attempt| &attempt.emitted);
            let emitted: BTreeSet<&str> = emitted.map(String::as_str).collect();
            let mut did = Branch::new(self.delivery(node, delivery));
            for child in self.children(node) {
                if emitted.contains(&*child.position) && hung.insert(&*child.position) {
                    did.below.push(self.branch(child));
                }
            }
            branch.below.push(did);
        }
        for child in self.children(node) {
            if !hung.contains(&*child.position) {
                branch.below.push(self.branch(child));
            }
        }
        branch
    }

    fn children<'b>(&'b self, node: &'b Node) -> impl Iterator<Item = &'b Node> + 'b {
        let follows = move |child: &&&Node| child.cause.as_deref() == Some(&*node.position);
        self.nodes.iter().filter(follows).copied()
    }

    fn event(&self, node: &Node) -> String {
        let kind = node.event.or_empty("type");
        let kind = self.out.paint(Style::Name, &clean(&kind));
        let about = node.event.about();
        let about = if about.is_empty() {
            String::new()
        } else {
            format!("  {}", clean(&about))
        };
        let time = self
            .out
            .paint(Style::Faint, &self.times.show(&node.appended));
        let mark = if node.position == self.asked && self.nodes.len() > 1 {
            self.out.paint(Style::Head, "  ← asked")
        } else {
            String::new()
        };
        format!("{kind}  {}{about}  {time}{mark}", node.position)
    }

    /// State, attempts, how long it waited and how long its handler ran, and the last error.
    fn delivery(&self, node: &Node, delivery: &Delivery) -> String {
        let (mark, style) = match delivery.state.as_str() {
            "done" => ("✓", Style::Good),
            "dead" => ("✗", Style::Bad),
            _ => ("…", Style::Wait),
        };
        let name = clean(&delivery.subscription);
        let mut label = self
            .out
            .paint(style, &format!("{mark} {name} {}", delivery.state));
        let mut parts = Vec::new();
        let attempts = &delivery.attempts;
        if attempts.len() > 1 || delivery.state != "done" && !attempts.is_empty() {
            parts.push(counted(attempts.len(), "attempt"));
        }
        if let Some((waited, ran)) = spans(&node.appended, attempts) {
            let (waited, ran) = (moment::span(waited), moment::span(ran));
            parts.push(format!("waited {waited}"));
            parts.push(format!("ran {ran}"));
        }
        if let Some(due) = &delivery.due {
            parts.push(format!("next {}", self.times.show(due)));
        }
        if !parts.is_empty() {
            let parts = self.out.paint(Style::Faint, &parts.join(", "));
            label.push_str("  ");
            label.push_str(&parts);
        }
        let errors = attempts.iter().rev().map(|attempt| &attempt.error);
        match errors.into_iter().find(|error| !error.is_empty()) {
            Some(error) => format!("{label}: {}", clean(error)),
            None => label,
        }
    }
}

/// How long a delivery waited and ran in all: what of the time since the event was stored no
/// handler used was waiting, for its turn or for the next attempt.
fn spans(appended: &str, attempts: &[Attempt]) -> Option<(Duration, Duration)> {
    let ended = Timestamp::parse(&attempts.last()?.ended).ok()?;
    let whole = ended.since(Timestamp::parse(appended).ok()?);
    let ran = attempts
        .iter()
        .filter_map(|attempt| moment::duration(&attempt.ran).ok());
    let ran: Duration = ran.sum();
    Some((whole.saturating_sub(ran), ran))
}
