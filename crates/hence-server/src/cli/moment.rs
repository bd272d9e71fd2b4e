//! Durations and times: read from the command line, written for people.

use std::time::Duration;

use hence::core::Timestamp;

const UNITS: [(&str, f64); 6] = [
    ("ms", 0.001),
    ("us", 0.000_001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];

/// Reads `200ms`, `10s`, `5m`, `24h`, `30d`; a number without a unit is refused.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration such as 200ms, 10s, 5m, 24h or 30d");
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(|| format!("{}: add the unit", wrong()))?;
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let (_, seconds) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

/// Reads an RFC 3339 time, or how long ago it was: `2026-11-20T10:00:00Z`, `1h`.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = Timestamp::parse(text) {
        return Ok(moment);
    }
    let back = duration(text).map_err(|_| {
        format!("'{text}' is neither a time such as 2026-11-20T10:00:00Z nor how long ago: 1h")
    })?;
    let micros = i64::try_from(back.as_micros()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_micros(
        Timestamp::now().as_micros().saturating_sub(micros),
    ))
}

/// Reads an RFC 3339 time.
pub(crate) fn exact(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|error| error.detail().to_owned())
}

/// A duration with a unit that suits its size: `1.2 ms`, `3 min`.
pub(crate) fn span(length: Duration) -> String {
    let seconds = length.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 0.001 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3_600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    if value < 9.95 && value.fract() > 0.049 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// How long before `now` a moment was, or how long after.
pub(crate) fn ago(moment: Timestamp, now: Timestamp) -> String {
    if moment > now.after(Duration::from_secs(1)) {
        return format!("in {}", whole(moment.since(now)));
    }
    match now.since(moment) {
        just if just < Duration::from_secs(1) => "just now".to_owned(),
        while_ago => format!("{} ago", whole(while_ago)),
    }
}

fn whole(length: Duration) -> String {
    span(Duration::from_secs(length.as_secs()))
}

#[cfg(test)]
mod tests;
