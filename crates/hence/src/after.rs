//! The order between the handlers of one event: the edges of `.after("name")`.

use std::collections::{HashMap, HashSet};

use hence_core::{EventType, Order};

use crate::subscription::Subscription;

/// What is wrong with the edges: a name that there is not, types that never meet, an order that
/// cannot be kept, a way around.
pub(crate) fn problems(subscriptions: &[Subscription]) -> Vec<String> {
    let known: HashMap<&str, &Subscription> = subscriptions.iter().map(|s| (&*s.name, s)).collect();
    let mut problems = Vec::new();
    for follower in subscriptions {
        for name in &follower.options.after {
            let found = match known.get(name.as_str()) {
                Some(first) => problem(follower, first),
                None => Some("there is no such subscription"),
            };
            let edge = |why| format!("'{}' is to run after '{name}': {why}", follower.name);
            problems.extend(found.map(edge));
        }
    }
    if let Some(cycle) = cycle(subscriptions, &known) {
        let path = cycle.join(" after ");
        problems.push(format!("handlers wait for each other: {path}"));
    }
    problems
}

fn problem(follower: &Subscription, first: &Subscription) -> Option<&'static str> {
    let taken: HashSet<_> = first.signature.takes.iter().map(|t| t.name).collect();
    let takes = || follower.signature.takes.iter();
    if !takes().any(|t| taken.contains(t.name)) {
        return Some("they have no type in common");
    }
    let order = follower.options.order;
    let keeps = match order {
        Order::PerKey => matches!(first.options.order, Order::PerKey | Order::Fifo),
        Order::Fifo => first.options.order == Order::Fifo,
        _ => return None,
    };
    if !keeps {
        return Some("events come out of there in less order than they are to be handled in");
    }
    // What does not wait there would overtake an event of its key that does.
    let is_ordered = |t: &&EventType| t.keyed || order == Order::Fifo;
    let overtakes = takes().filter(is_ordered).any(|t| !taken.contains(t.name));
    overtakes.then_some("it takes types that the other does not, which would overtake their keys")
}

/// One way around, with its beginning repeated at the end.
fn cycle<'a>(
    subscriptions: &'a [Subscription],
    known: &HashMap<&str, &'a Subscription>,
) -> Option<Vec<&'a str>> {
    let mut done: HashSet<&str> = HashSet::new();
    for start in subscriptions {
        let mut path: Vec<(&Subscription, usize)> = vec![(start, 0)];
        while let Some((at, edge)) = path.pop() {
            let next = at.options.after.get(edge);
            let Some(next) = next else {
                done.insert(&at.name);
                continue;
            };
            path.push((at, edge + 1));
            let Some(next) = known.get(next.as_str()) else {
                continue;
            };
            if let Some(begin) = path.iter().position(|(seen, _)| seen.name == next.name) {
                let ring = path.iter().skip(begin).map(|(seen, _)| &*seen.name);
                return Some(ring.chain([&*next.name]).collect());
            }
            if !done.contains(&*next.name) {
                path.push((next, 0));
            }
        }
    }
    None
}

/// Those that others wait for come before these, and otherwise the order stays. There is no cycle.
pub(crate) fn sorted(subscriptions: Vec<Subscription>) -> Vec<Subscription> {
    let mut waiting = subscriptions;
    let mut sorted: Vec<Subscription> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let names: HashSet<String> = waiting.iter().map(|s| s.name.to_string()).collect();
        let (blocked, free): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|s| s.options.after.iter().any(|first| names.contains(first)));
        if free.is_empty() {
            // A cycle, which `problems` refuses before anything starts.
            sorted.extend(blocked);
            break;
        }
        sorted.extend(free);
        waiting = blocked;
    }
    sorted
}
