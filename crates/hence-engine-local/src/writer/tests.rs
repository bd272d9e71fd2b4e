use hence_core::commit::Commit;
use hence_core::delivery::Outcome;
use hence_core::engine::Deliveries as _;
use hence_core::message::Message;
use hence_core::{Attributes, Delivery, Settlement};
use hence_log::sim::{Fault, SimStorage};

use super::*;
use crate::deliveries::Attached;
use crate::op::{Subscribed, Taken};

const TYPE: &str = "t";
/// No space left on the device.
const ENOSPC: i32 = 28;

/// An engine without its thread, so that it can stop between any two steps.
fn lead(disk: &SimStorage) -> Lead {
    lead_with(disk, &Options::default())
}

fn lead_with(disk: &SimStorage, options: &Options) -> Lead {
    let opened = open(Arc::new(disk.clone()), options).unwrap();
    let shared = Shared::new(opened.core, &options.clock, opened.key, None);
    Lead::new(shared, opened.writer, opened.snapshots)
}

impl Lead {
    /// Stores a commit, and does not show it yet.
    fn store_only(&mut self, commit: Commit) -> Batch {
        let (shared, now) = (Arc::clone(&self.shared), self.shared.clock.now());
        let mut batch = Batch::default();
        let commit = Prepared::new(shared.key, commit);
        shared.lock().decide(commit, now, &mut batch).unwrap();
        let first = shared.lock().first_of_last();
        self.stage(batch.last(), now, first).unwrap();
        self.store(Level::Synced).unwrap();
        batch
    }

    fn store_and_show(&mut self, commit: Commit) {
        let mut batch = self.store_only(commit);
        self.show(&mut batch);
    }

    fn subscribe_first(&mut self) {
        let subscribed = Subscribed {
            subscription: 0,
            name: "s".to_owned(),
            types: vec![Taken {
                name: TYPE.to_owned(),
                tag: crate::identity::tag(TYPE),
                since: 1,
            }],
            low: 0,
            lag: 0,
        };
        let mut batch = Batch::default();
        batch.push(Op::Subscribed(subscribed), self.shared.clock.now());
        self.stage(batch.last(), self.shared.clock.now(), 0)
            .unwrap();
        self.store(Level::Synced).unwrap();
        self.show(&mut batch);
    }

    fn attach(&self) -> Attached {
        let mut core = self.shared.lock();
        core.attach(0, &[]).unwrap();
        Attached {
            shared: Arc::clone(&self.shared),
            id: 0,
            notify: core.notify(0).unwrap(),
            held: core.state.held(0),
            tags: vec![crate::identity::tag(TYPE)],
            cold: None,
        }
    }
}

fn publish(id: &str) -> Commit {
    let attributes = Attributes::new(id, "/test", TYPE).unwrap();
    let message = Message::new(attributes, Some("1".into()));
    Commit::publish(vec![message], Durability::Synced)
}

fn done(delivery: &Delivery) -> Commit {
    Commit {
        settle: vec![Settlement {
            subscription: "s".into(),
            position: delivery.position,
            attempt: delivery.attempt,
            outcome: Outcome::Done,
            ran: Duration::ZERO,
        }],
        durability: Durability::Synced,
        ..Commit::default()
    }
}

/// What can be pulled without waiting.
async fn ready(attached: &mut Attached) -> Vec<Delivery> {
    let mut all = Vec::new();
    loop {
        tokio::select! {
            biased;
            some = attached.next(8) => all.extend(some.unwrap()),
            () = tokio::task::yield_now() => return all,
        }
    }
}

/// The log has a commit a moment before the tables. Who reads on from the disk in that moment must
/// leave it alone: it is offered when the tables have it, and was delivered twice.
#[tokio::test]
async fn g2_what_the_log_has_before_the_tables_is_delivered_once() {
    let disk = SimStorage::new();
    let mut before = lead(&disk);
    before.subscribe_first();
    before.store_and_show(publish("a"));
    drop(before);
    disk.kill();
    let mut lead = lead(&disk);
    let mut attached = lead.attach();
    let mut batch = lead.store_only(publish("b"));
    let mut all = ready(&mut attached).await;
    let early: Vec<_> = all.iter().map(|delivery| delivery.position.0).collect();
    assert_eq!(early, [1], "what nobody was told to be stored");
    lead.show(&mut batch);
    all.extend(ready(&mut attached).await);
    let places: Vec<_> = all.iter().map(|delivery| delivery.position.0).collect();
    assert_eq!(places, [1, 2]);
    for delivery in &all {
        lead.store_and_show(done(delivery));
    }
    let report = lead.shared.lock().reports().remove(0);
    assert_eq!((report.lag, report.in_flight), (0, 0));
    assert_eq!(report.settled.0, 2);
    lead.store_and_show(publish("c"));
    assert_eq!(ready(&mut attached).await.len(), 1);
}

fn sequenced(sender: &str, number: u64) -> Commit {
    let sender = sender.to_owned();
    Commit {
        sequence: Some(hence_core::commit::Sequence { sender, number }),
        ..publish(&format!("{number}"))
    }
}

#[test]
fn a_sender_that_is_known_takes_no_second_place() {
    let lead = lead(&SimStorage::new());
    let (shared, now) = (Arc::clone(&lead.shared), lead.shared.clock.now());
    let mut core = shared.lock();
    let sent = crate::senders::Sent {
        number: 1,
        first: 0,
        content: 0,
    };
    for number in 1..crate::senders::SENDERS_MAX {
        core.state.senders.set(&format!("s{number}"), sent);
    }
    let mut batch = Batch::default();
    let mut decide = |commit| {
        let prepared = Prepared::new(shared.key, commit);
        core.decide(prepared, now, &mut batch).map(drop)
    };
    decide(sequenced("s1", 2)).unwrap();
    decide(sequenced("s2", 2)).unwrap();
    decide(sequenced("new", 1)).expect("there is one place");
    let Err(Undecided::Refused(error)) = decide(sequenced("newer", 1)) else {
        panic!("one sender too many was taken");
    };
    assert_eq!(error.code(), Code::STATE_FULL);
}

#[test]
fn the_size_of_a_commit_has_its_copies_and_texts() {
    let key = IdentityKey::random();
    let size = |commit| Prepared::new(key, commit).size();
    let text = "x".repeat(1000);
    let discard = hence_core::Discard {
        id: "s.1".to_owned(),
        reason: text.clone(),
    };
    let edit = hence_core::Edit {
        id: "s.1".to_owned(),
        message: publish("a").publish.remove(0),
    };
    let footprint = edit.message.footprint();
    let settle = Settlement {
        subscription: "s".into(),
        position: hence_core::Position(1),
        attempt: 1,
        outcome: Outcome::Retry {
            due: Timestamp::from_micros(1),
            error: text,
        },
        ran: Duration::ZERO,
    };
    let commits = [
        (vec![discard], vec![], vec![], 1000),
        (vec![], vec![edit], vec![], footprint),
        (vec![], vec![], vec![settle], 1000),
    ];
    for (discard, edit, settle, least) in commits {
        let commit = Commit {
            discard,
            edit,
            settle,
            ..Commit::default()
        };
        assert!(size(commit) >= least);
    }
}

/// Who is told that an id is taken gives up. If what had taken it is not stored, it never was.
#[tokio::test]
async fn a_refusal_that_rests_on_a_group_that_failed_is_not_given() {
    let disk = SimStorage::new();
    let mut lead = lead(&disk);
    lead.store_and_show(publish("a"));
    let mut other = publish("b");
    other.publish = vec![Message::new(
        other.publish.remove(0).attributes().clone(),
        Some("2".into()),
    )];
    let mut work = VecDeque::new();
    let answers = [publish("b"), other].map(|commit| {
        let (answer, receipts) = tokio::sync::oneshot::channel();
        let commit = Prepared::new(lead.shared.key, commit);
        work.push_back(Request::Commit(commit, Some(answer)));
        receipts
    });
    disk.plan(1, Fault::Error(ENOSPC));
    lead.group(&mut work, &mut Batch::default());
    for answer in answers {
        let error = answer.await.unwrap().unwrap_err();
        assert_eq!(error.code(), Code::STORAGE_FULL);
    }
}

/// Nothing is synced for a commit that repeats, and nobody may take that for a fast disk.
#[test]
fn what_repeats_counts_as_no_sync() {
    let mut lead = lead(&SimStorage::new());
    lead.store_and_show(publish("a"));
    let syncs = |lead: &Lead| lead.shared.figures.syncs.load(Ordering::Relaxed);
    let before = syncs(&lead);
    lead.store_and_show(publish("a"));
    assert_eq!(syncs(&lead), before);
    lead.store_and_show(publish("b"));
    assert_eq!(syncs(&lead), before + 1);
}

/// The tables are asked about what a reader gives out.
#[tokio::test]
async fn what_the_log_has_before_the_tables_is_not_read() {
    use hence_core::engine::Reader as _;
    let disk = SimStorage::new();
    let mut before = lead(&disk);
    before.store_and_show(publish("a"));
    drop(before);
    disk.kill();
    let mut lead = lead(&disk);
    let shared = Arc::clone(&lead.shared);
    let mut reader = crate::reader::Tailing::new(shared, 1, None, hence_core::Filter::default());
    let mut batch = lead.store_only(publish("b"));
    let places = |entries: Vec<hence_core::Entry>| -> Vec<u64> {
        entries.iter().map(|entry| entry.position.0).collect()
    };
    assert_eq!(places(reader.next(8).await.unwrap()), [1]);
    lead.show(&mut batch);
    assert_eq!(places(reader.next(8).await.unwrap()), [2]);
}

/// A report of the first message, which reads so many commits.
fn attempts(lead: &Lead, most: u64) -> usize {
    let core = lead.shared.lock();
    let Store::Log(log, _) = core.store.clone() else {
        panic!("it is a log");
    };
    let scan = crate::journal::AttemptScan {
        log,
        position: 1,
        places: None,
        shown: core.shown,
        most,
    };
    let nothing_found = [(0, crate::history::Expected::Done)];
    scan.all(&nothing_found).unwrap().len()
}

/// Tables and attempts of a report are of one moment; and no report reads a log to its end.
#[tokio::test]
async fn a_report_reads_as_far_as_the_tables_and_its_limit() {
    let mut lead = lead(&SimStorage::new());
    lead.subscribe_first();
    lead.store_and_show(publish("a"));
    let retry = |attempt| Commit {
        settle: vec![Settlement {
            subscription: "s".into(),
            position: hence_core::Position(1),
            attempt,
            outcome: Outcome::Retry {
                due: Timestamp::from_micros(1),
                error: String::new(),
            },
            ran: Duration::ZERO,
        }],
        durability: Durability::Synced,
        ..Commit::default()
    };
    let mut batch = lead.store_only(retry(1));
    assert_eq!(attempts(&lead, 100), 0, "the tables know of none");
    lead.show(&mut batch);
    assert_eq!(attempts(&lead, 100), 1);
    for id in 0..10 {
        lead.store_and_show(publish(&id.to_string()));
    }
    lead.store_and_show(retry(2));
    assert_eq!(attempts(&lead, 100), 2);
    assert_eq!(attempts(&lead, 5), 1);
}

/// A snapshot that could not be stored reflects nothing: it is tried again, though not at once, and
/// the one at the end is not left out for it.
#[test]
fn a_snapshot_that_fails_does_not_count() {
    let disk = SimStorage::new();
    let options = Options {
        snapshot_bytes: 1,
        ..Options::default()
    };
    let snapshots = || {
        let is_one = |name: &String| name.ends_with(".hsnp");
        disk.names().into_iter().filter(is_one).count()
    };
    let mut lead = lead_with(&disk, &options);
    lead.store_and_show(publish("a"));
    disk.plan(1, Fault::Error(ENOSPC));
    lead.snapshot();
    lead.snapshots.wait();
    assert_eq!((disk.fired(), snapshots()), (1, 0));
    assert_eq!(lead.snapshots.frame(), 0);
    assert!(!lead.wants_thread(), "it is tried again at once");
    lead.end(Stop::Close);
    assert_eq!(snapshots(), 1);
    disk.kill();

    let mut lead = lead_with(&disk, &options);
    lead.store_and_show(publish("b"));
    lead.snapshot();
    lead.snapshots.wait();
    assert_eq!((lead.snapshots.frame(), snapshots()), (2, 2));
    assert!(!lead.wants_thread());
}
