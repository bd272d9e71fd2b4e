use super::{
    CAUSE_BYTES_MAX, DeadLetter, DeadLetterQuery, Fingerprint, PAGE_BYTES_MAX, PAGE_LETTERS_MAX,
    Place, cause,
};
use crate::delivery::{Position, RejectReason};
use crate::time::Timestamp;

fn letter(position: u64) -> DeadLetter {
    DeadLetter {
        id: format!("a.b.{position}"),
        subscription: "a.b".to_owned(),
        position: Position(position),
        event_type: "order.placed".to_owned(),
        key: Some("k".to_owned()),
        reason: RejectReason::Rejected,
        error: format!("order {position} is not known"),
        attempts: 1,
        since: Timestamp::from_micros(1_000 - position.cast_signed()),
        hold: true,
        redriven: false,
        edited: false,
    }
}

#[test]
fn errors_that_differ_in_ids_have_one_cause() {
    for (one, other) in [
        ("order A-17 is not known", "order B-2 is not known"),
        ("no answer within 30s", "no answer within 1.5s"),
        ("user 'bob smith' has no card", "user 'o'neil' has no card"),
        ("cannot open \"/a/b\"", "cannot open \"/c\""),
        ("key deadbeefcafe is gone", "key 01a1f9c2-cbf5-7222 is gone"),
        ("0x7f3a: bad  frame", "0x12: bad frame"),
    ] {
        assert_eq!(cause(one), cause(other));
    }
}

#[test]
fn errors_of_other_kinds_stay_apart() {
    for (one, other) in [
        ("the card was refused", "the card has expired"),
        (
            "HN0402: the handler panicked",
            "HN0403: the handler panicked",
        ),
        ("can't reach the bank", "won't reach the bank"),
        ("", "#"),
    ] {
        assert_ne!(cause(one), cause(other));
    }
    let error = "the same words";
    let [one, other] = [RejectReason::Rejected, RejectReason::RetriesExhausted]
        .map(|reason| Fingerprint::of(reason, error));
    assert_ne!(one, other);
}

#[test]
fn a_cause_reads_well_and_is_short() {
    assert_eq!(
        cause("HN0403: user 'bob': don't know 17 of `x`\n(id=9)"),
        "HN0403: user '…': don't know # of `…` (id=#)"
    );
    let long = "é'\"`(".repeat(1_000);
    assert!(cause(&long).len() <= CAUSE_BYTES_MAX);
    assert_eq!(cause("an 'open quote"), "an 'open quote");
}

#[test]
fn a_fingerprint_is_the_same_for_ever_and_reads_back() {
    let print = Fingerprint::of(RejectReason::Rejected, "order 1 is not known");
    assert_eq!(print.to_string(), "d9ca653f78cba0a0");
    assert_eq!(print.to_string().parse::<Fingerprint>().unwrap(), print);
    for bad in [
        "",
        "1",
        "+ce6a91aa7c4b0cb",
        "1ce6a91aa7c4b0cbb",
        "1ce6a91aa7c4b0cg",
    ] {
        assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
    }
}

#[test]
fn a_place_reads_back() {
    let place = letter(3).place();
    assert_eq!(place.to_string().parse::<Place>().unwrap(), place);
    for bad in ["", "1", "1.2", "x.2.s", "1.x.s"] {
        assert!(bad.parse::<Place>().is_err(), "{bad}");
    }
}

#[test]
fn pages_follow_one_another_and_are_bounded() {
    let all: Vec<_> = (1..=9).map(letter).collect();
    let mut query = DeadLetterQuery {
        limit: 4,
        ..DeadLetterQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = query.page(all.clone());
        let Some(last) = page.last() else { break };
        query.after = Some(last.place());
        seen.extend(page.iter().map(|letter| letter.position.0));
    }
    assert_eq!(seen, [9, 8, 7, 6, 5, 4, 3, 2, 1]);

    let wide = |position| DeadLetter {
        error: "x".repeat(4096),
        ..letter(position)
    };
    let query = DeadLetterQuery {
        limit: usize::MAX,
        ..DeadLetterQuery::default()
    };
    let page = query.page((1..900).map(wide));
    let bytes: usize = page.iter().map(DeadLetter::bytes).sum();
    assert!(bytes < PAGE_BYTES_MAX + 8192 && bytes > PAGE_BYTES_MAX / 2);
    assert_eq!(
        query.page((1..3_000).map(letter)).len(),
        PAGE_LETTERS_MAX.min(bytes)
    );
}

#[test]
fn a_query_leaves_out_what_it_says() {
    let found = |change: &dyn Fn(&mut DeadLetterQuery)| {
        let mut query = DeadLetterQuery::default();
        change(&mut query);
        query.page((1..=3).map(letter)).len()
    };
    assert_eq!(found(&|_| ()), 3);
    assert_eq!(found(&|q| q.subscription = Some("a".to_owned())), 0);
    assert_eq!(
        found(&|q| q.event_type = Some("order.placed".to_owned())),
        3
    );
    assert_eq!(found(&|q| q.key = Some("other".to_owned())), 0);
    assert_eq!(found(&|q| q.since = Some(Timestamp::from_micros(998))), 2);
    assert_eq!(found(&|q| q.until = Some(Timestamp::from_micros(998))), 1);
    assert_eq!(found(&|q| q.upto = Some(letter(2).place())), 2);
    assert_eq!(found(&|q| q.fingerprint = Some(letter(7).fingerprint())), 3);
    assert_eq!(found(&|q| q.fingerprint = Some(Fingerprint(1))), 0);
    assert_eq!(found(&|q| q.redriven = Some(false)), 3);
    assert_eq!(found(&|q| q.redriven = Some(true)), 0);
}
