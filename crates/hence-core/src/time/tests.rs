use super::Timestamp;

#[test]
fn text_is_what_jiff_writes_at_every_edge_of_a_second() {
    let second = 1_795_168_800_000_000;
    for start in [
        0,
        second,
        -second,
        253_402_300_799_000_000,
        -62_167_219_200_000_000,
    ] {
        for micros in [0, 1, 9, 10, 123_456, 999_999, 1_000_000, -1] {
            let at = start + micros;
            let time = Timestamp::from_micros(at);
            let wanted = match jiff::Timestamp::from_microsecond(at) {
                Ok(time) => format!("{time:.6}"),
                Err(_) => format!("{at}us"),
            };
            // Twice: what the first wrote must not show in the second.
            assert_eq!(time.to_string(), wanted);
            assert_eq!(time.to_string(), wanted);
        }
    }
    assert_eq!(
        Timestamp::from_micros(i64::MAX).to_string(),
        format!("{}us", i64::MAX)
    );
}
