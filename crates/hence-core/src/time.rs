//! `Timestamp`: wall-clock time, in microseconds since 1970 UTC.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Code, Error, Result};

/// A moment of wall-clock time, in microseconds since 1970-01-01T00:00:00Z.
///
/// It is written as RFC 3339 in UTC. Engines never order by it: order is the position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment of the call.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// The moment of the call, by a clock that never jumps.
    ///
    /// It takes the wall clock once, when the process first asks, and goes on by the monotonic clock.
    /// Whatever waits uses it: when somebody sets the wall clock back or forward, nothing is late or
    /// early because of it before the process ends.
    #[must_use]
    pub fn steady() -> Self {
        static BEGAN: OnceLock<(Timestamp, Instant)> = OnceLock::new();
        let (at, began) = BEGAN.get_or_init(|| (Self::now(), Instant::now()));
        at.after(began.elapsed())
    }

    /// The moment that many microseconds after 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This moment and a while, held at the end of time.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long from `earlier` to this moment; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// `HN0101` when the text is not a time with an offset.
    pub fn parse(text: &str) -> Result<Self> {
        // jiff also takes spaces, brackets and lower-case letters that RFC 3339 does not have.
        let shape = text.len() >= 20 && text.as_bytes().get(10) == Some(&b'T');
        let parsed: Option<jiff::Timestamp> = if shape && !text.contains('[') {
            text.parse().ok()
        } else {
            None
        };
        parsed
            .map(|time| Self(time.as_microsecond()))
            .ok_or_else(|| not_a_time(text))
    }
}

fn not_a_time(text: &str) -> Error {
    Code::ATTRIBUTE.error(format!(
        "'{text}' is not an RFC 3339 time such as 2026-11-20T10:00:00Z"
    ))
}

/// Bytes of `2026-11-20T10:00:00.`
const WHOLE: usize = 20;
/// Bytes of `2026-11-20T10:00:00.000000Z`
const ALL: usize = WHOLE + 7;

thread_local! {
    /// The last second that was written on this thread, as a number and as the text of its start.
    static SECOND: Cell<(i64, [u8; ALL])> = const { Cell::new((i64::MIN, [0; ALL])) };
}

impl Timestamp {
    /// Gives the text of the moment, as [`Display`](fmt::Display) writes it.
    ///
    /// Events come many to a second, so that only the digits behind it are new for each.
    pub(crate) fn with_text<R>(self, then: impl FnOnce(&str) -> R) -> R {
        let (second, micros) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        let (last, mut text) = SECOND.get();
        if last != second {
            let written = self.written();
            // Only years from 0 to 9999 have four digits.
            let Ok(start) = <[u8; ALL]>::try_from(written.as_bytes()) else {
                return then(&written);
            };
            text = start;
            SECOND.set((second, text));
        }
        let mut rest = u32::try_from(micros).unwrap_or(0);
        for digit in text.iter_mut().skip(WHOLE).take(6).rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        match std::str::from_utf8(&text) {
            Ok(text) => then(text),
            Err(_) => then(&self.written()),
        }
    }

    fn written(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => format!("{time:.6}"),
            Err(_) => format!("{}us", self.0),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
