use super::*;

#[test]
fn durations_need_a_unit() {
    assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
    assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5_400)));
    for wrong in ["10", "", "s", "-1s", "1 s", "1w", "1..2s", "1e400d"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_past_time_is_absolute_or_ago() {
    let absolute = past("2026-11-20T10:00:00Z").unwrap();
    assert_eq!(absolute.to_string(), "2026-11-20T10:00:00.000000Z");
    let begin = past("1h").unwrap();
    let hour = Timestamp::now().since(begin);
    assert!(hour >= Duration::from_secs(3_600) && hour < Duration::from_secs(3_660));
    assert!(past("yesterday").unwrap_err().contains("1h"));
}

#[test]
fn people_read_one_unit() {
    let spans = [
        (Duration::from_micros(7), "7 µs"),
        (Duration::from_micros(1_240), "1.2 ms"),
        (Duration::from_millis(250), "250 ms"),
        (Duration::from_secs(90), "90 s"),
        (Duration::from_secs(600), "10 min"),
        (Duration::from_secs(86_400), "24 h"),
        (Duration::from_secs(864_000), "10 d"),
    ];
    for (length, text) in spans {
        assert_eq!(span(length), text);
    }
    let now = Timestamp::from_micros(100_000_000_000);
    assert_eq!(ago(now, now), "just now");
    assert_eq!(ago(Timestamp::from_micros(99_995_000_000), now), "5 s ago");
    assert_eq!(ago(now.after(Duration::from_secs(3_600)), now), "in 60 min");
}
