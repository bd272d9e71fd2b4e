use super::*;

/// What the end of a delivery that is skipped was written as, and has to be read as for ever.
#[test]
fn a_skip_is_read_as_it_was_written() {
    // position 300, after 299, attempt 2, 3 ms, form 5, why, in favour of 301 or of none.
    let begin = b"\xac\x02\xab\x02\x02\xb8\x17\x05\x0crate-limited";
    for (by, end) in [(Some(301), &b"\xad\x02"[..]), (None, b"\x00")] {
        let stored = [begin, end].concat();
        let skipped = Ended {
            subscription: 7,
            position: 300,
            after: 299,
            attempt: 2,
            ran: Duration::from_millis(3),
            how: How::Skipped {
                why: Skip::RateLimited,
                by,
            },
        };
        let mut written = Vec::new();
        Op::Ended(skipped.clone()).encode(&mut written);
        assert_eq!(written, stored);
        let key = IdentityKey::random();
        let read = Op::decode(key, ENDED, 7, Bytes::from(stored)).unwrap();
        assert!(matches!(read, Op::Ended(read) if read == skipped));
    }
}
