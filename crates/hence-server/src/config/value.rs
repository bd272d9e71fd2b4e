//! Values with units, as they stand in configuration, URLs and flags.

use std::time::Duration;

/// The units of durations, in seconds; longer names first.
const DURATIONS: [(&str, f64); 6] = [
    ("ms", 0.001),
    ("us", 0.000_001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];
/// The units of sizes, in bytes; longer names first.
const SIZES: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Reads a duration such as `200ms`, `10s`, `5m`, `24h` or `30d`.
///
/// # Errors
/// What it should look like.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || "is not a duration such as 200ms, 10s, 5m or 24h".to_owned();
    let (number, seconds) = DURATIONS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .ok_or_else(bad)?;
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = number.parse().ok().filter(|_| digits).ok_or_else(bad)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| bad())
}

/// Reads a size such as `64KiB` or `1MiB`.
///
/// # Errors
/// What it should look like.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let bad = || "is not a size such as 64KiB, 1MiB or 1MB".to_owned();
    let (number, bytes) = SIZES
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)))
        .ok_or_else(bad)?;
    let number: u64 = number.parse().map_err(|_| bad())?;
    number
        .checked_mul(*bytes)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(bad)
}
