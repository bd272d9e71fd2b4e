//! Options by name and value: the one table behind configuration, `/v1/subscriptions` and the
//! topology.
//!
//! ```
//! use hence_core::Options;
//!
//! let mut options = Options::default();
//! options.set("throttle.calls", "10").unwrap();
//! options.set("throttle.per", "1m").unwrap();
//! assert_eq!(options.settings()["throttle.per"], "1m");
//! assert!(options.set("throttle.calls", "0").unwrap_err().contains("from 1"));
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use crate::delivery::Position;
use crate::envelope::NAME_LENGTH_MAX;
use crate::flow::{By, Shedding, While};
use crate::subscription::{AfterDeadLetter, Options, Order, Start};
use crate::time::Timestamp;

/// The most calls that a subscription makes at a time.
pub const CALLS_MAX: usize = 65_536;
/// The most events of one batch.
pub const BATCH_EVENTS_MAX: usize = 100_000;
/// The most bytes of one batch.
pub const BATCH_BYTES_MAX: usize = 1 << 30;
/// The longest time that an option may have.
pub const TIME_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The largest weight of a group.
pub const WEIGHT_MAX: u32 = 1_000;
/// The most groups that have a weight of their own.
pub const WEIGHTS_MAX: usize = 1_000;

/// One option.
pub struct Setting {
    /// Its name as configuration writes it: `throttle.calls`.
    pub name: &'static str,
    get: fn(&Options) -> Option<String>,
    set: fn(&mut Options, &str) -> Result<(), String>,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Setting").field(&self.name).finish()
    }
}

/// Switches an option off that is on by default, or that code has set.
const OFF: &str = "off";

macro_rules! plain {
    ($name:literal, $($field:ident).+, $read:expr, $write:expr) => {
        Setting {
            name: $name,
            get: |options| Some($write(&options.$($field).+)),
            set: |options, text| {
                options.$($field).+ = $read(text)?;
                Ok(())
            },
        }
    };
}

macro_rules! part {
    ($name:literal, $whole:ident . $field:ident, $read:expr, $write:expr) => {
        Setting {
            name: $name,
            get: |options| options.$whole.as_ref().map(|whole| $write(&whole.$field)),
            set: |options, text| {
                options.$whole.get_or_insert_default().$field = $read(text)?;
                Ok(())
            },
        }
    };
}

macro_rules! switch {
    ($name:literal, $whole:ident, $default:expr) => {
        Setting {
            name: $name,
            // What is off by default need not be said.
            get: |options| {
                let silent = options.$whole.is_some() || !$default;
                (!silent).then(|| OFF.to_owned())
            },
            set: |options, text| {
                if text != OFF {
                    return Err(format!("'{text}' is not '{OFF}', and no table"));
                }
                options.$whole = None;
                Ok(())
            },
        }
    };
}

/// Every option of a subscription. A table comes before its parts, so that it can be switched off.
pub static SETTINGS: &[Setting] = &[
    plain!("order", order, order, |order: &Order| order
        .as_str()
        .to_owned()),
    plain!("from", start, start, start_text),
    plain!("concurrency", concurrency, calls, usize::to_string),
    plain!("timeout", timeout, time, time_text),
    plain!(
        "deadletter",
        after_dead_letter,
        after_dead_letter,
        after_text
    ),
    plain!("causationdepth", causation_depth, from_one, u32::to_string),
    plain!("crashes", crashes, crashes, crashes_text),
    plain!("retry.attempts", retry.attempts, from_one, u32::to_string),
    plain!("retry.first", retry.first, span, time_text),
    plain!("retry.factor", retry.factor, factor, f64::to_string),
    plain!("retry.max", retry.max, span, time_text),
    switch!("retrybudget", retry_budget, true),
    part!(
        "retrybudget.share",
        retry_budget.share,
        share,
        f64::to_string
    ),
    part!(
        "retrybudget.persecond",
        retry_budget.per_second,
        rate,
        f64::to_string
    ),
    switch!("breaker", breaker, true),
    part!(
        "breaker.failures",
        breaker.failures,
        from_one,
        u32::to_string
    ),
    part!("breaker.share", breaker.share, share, f64::to_string),
    part!("breaker.probe", breaker.probe, time, time_text),
    plain!("batch.events", batch_events, batch_events, usize::to_string),
    plain!("batch.bytes", batch_bytes, batch_bytes, usize::to_string),
    plain!("batch.age", batch_age, span, time_text),
    Setting {
        name: "batch.by",
        get: |options| options.batch_by.as_ref().map(by_text),
        set: |options, text| {
            options.batch_by = Some(by(text)?);
            Ok(())
        },
    },
    switch!("limit", limit, false),
    part!("limit.by", limit.by, by, by_text),
    part!("limit.most", limit.most, calls, usize::to_string),
    switch!("throttle", throttle, false),
    part!("throttle.calls", throttle.calls, from_one, u32::to_string),
    part!("throttle.per", throttle.per, time, time_text),
    switch!("ratelimit", rate_limit, false),
    part!(
        "ratelimit.events",
        rate_limit.events,
        from_one,
        u32::to_string
    ),
    part!("ratelimit.per", rate_limit.per, time, time_text),
    Setting {
        name: "ratelimit.by",
        get: |options| options.rate_limit.as_ref()?.by.as_ref().map(by_text),
        set: |options, text| {
            options.rate_limit.get_or_insert_default().by = Some(by(text)?);
            Ok(())
        },
    },
    switch!("debounce", debounce, false),
    part!("debounce.by", debounce.by, by, by_text),
    part!("debounce.quiet", debounce.quiet, time, time_text),
    part!("debounce.most", debounce.most, time, time_text),
    switch!("singleton", singleton, false),
    part!("singleton.by", singleton.by, by, by_text),
    part!("singleton.then", singleton.then, while_, while_text),
    switch!("fair", fair, false),
    part!("fair.by", fair.by, by, by_text),
    part!("fair.weights", fair.weights, weights, weights_text),
    switch!("shed", shed, false),
    part!("shed.wait", shed.wait, time, time_text),
    part!("shed.then", shed.then, shedding, shedding_text),
    switch!("adaptive", adaptive, false),
    part!("adaptive.least", adaptive.least, calls, usize::to_string),
    part!("adaptive.most", adaptive.most, calls, usize::to_string),
];

impl Options {
    /// Sets one option by its name.
    ///
    /// # Errors
    /// In words: there is no such option, or the value cannot be one of it.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let setting = setting.ok_or_else(|| format!("there is no option '{name}'"))?;
        (setting.set)(self, text)
    }

    /// These options, changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Every option that is on, by name; what [`Options::set`] takes.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, String> {
        let settings = SETTINGS.iter().filter_map(|setting| {
            let value = (setting.get)(self)?;
            Some((setting.name.to_owned(), value))
        });
        settings.collect()
    }

    /// Everything that is wrong with the numbers, in words, each with the name of the option.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for setting in SETTINGS {
            let Some(value) = (setting.get)(self) else {
                continue;
            };
            if let Err(problem) = (setting.set)(&mut self.clone(), &value) {
                problems.push(format!("{} = {value}: {problem}", setting.name));
            }
        }
        let mut say = |problem: &str| problems.push(problem.to_owned());
        if self.debounce.as_ref().is_some_and(|d| d.most < d.quiet) {
            say("debounce.most is less than debounce.quiet, so nothing would ever be quiet");
        }
        if self.adaptive.is_some_and(|a| a.most < a.least) {
            say("adaptive.most is less than adaptive.least");
        }
        let chooses = !matches!(self.order, Order::PerKey | Order::Any);
        if self.fair.is_some() && chooses {
            say("fair shares calls out itself: its order is per-key or any");
        }
        if self.debounce.is_some() && self.singleton.is_some() {
            say("debounce and singleton both say which event of a group is skipped: choose one");
        }
        problems
    }
}

fn count<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= T::from(1))
        .ok_or_else(|| "must be a whole number from 1".to_owned())
}

fn from_one(text: &str) -> Result<u32, String> {
    count(text)
}

fn crashes(text: &str) -> Result<Option<u32>, String> {
    if text == OFF {
        return Ok(None);
    }
    from_one(text)
        .map(Some)
        .map_err(|problem| format!("{problem}, or '{OFF}'"))
}

fn crashes_text(crashes: &Option<u32>) -> String {
    crashes.map_or_else(|| OFF.to_owned(), |crashes| crashes.to_string())
}

fn up_to(text: &str, most: usize) -> Result<usize, String> {
    let number = count(text)?;
    if number > most {
        return Err(format!("must be at most {most}"));
    }
    Ok(number)
}

fn calls(text: &str) -> Result<usize, String> {
    up_to(text, CALLS_MAX)
}

fn batch_events(text: &str) -> Result<usize, String> {
    up_to(text, BATCH_EVENTS_MAX)
}

fn batch_bytes(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let unit = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = unit.unwrap_or((text.strip_suffix('B').unwrap_or(text), 1));
    let bytes = count::<usize>(number)?.saturating_mul(bytes);
    if bytes > BATCH_BYTES_MAX {
        return Err("must be at most 1GiB".to_owned());
    }
    Ok(bytes)
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "must be a number".to_owned())
}

fn factor(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    if (1.0..=1_000.0).contains(&number) {
        return Ok(number);
    }
    Err("must be from 1 to 1000".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    if number > 0.0 && number <= 1.0 {
        return Ok(number);
    }
    Err("must be more than 0 and at most 1".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    if (0.0..=1e9).contains(&number) {
        return Ok(number);
    }
    Err("must be from 0 to 1000000000".to_owned())
}

/// A time that may be nothing.
fn span(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 6] = [
        ("ms", 1e-3),
        ("us", 1e-6),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3_600.0),
        ("d", 86_400.0),
    ];
    let bad = || "is not a duration such as 200ms, 10s, 5m or 24h".to_owned();
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))
        .ok_or_else(bad)?;
    let shape = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number: f64 = digits.parse().ok().filter(|_| shape).ok_or_else(bad)?;
    let time = Duration::try_from_secs_f64(number * unit).map_err(|_| bad())?;
    if time > TIME_MAX {
        return Err(format!("must be at most {}", time_text(&TIME_MAX)));
    }
    Ok(time)
}

/// A time from a millisecond.
fn time(text: &str) -> Result<Duration, String> {
    let time = span(text)?;
    if time < Duration::from_millis(1) {
        return Err("must be at least 1ms".to_owned());
    }
    Ok(time)
}

fn time_text(time: &Duration) -> String {
    let micros = time.as_micros();
    let units = [
        (86_400_000_000, "d"),
        (3_600_000_000, "h"),
        (60_000_000, "m"),
        (1_000_000, "s"),
        (1_000, "ms"),
    ];
    let whole = units
        .iter()
        .find(|(unit, _)| micros > 0 && micros.is_multiple_of(*unit));
    match whole {
        Some((unit, name)) => format!("{}{name}", micros / unit),
        None => format!("{micros}us"),
    }
}

fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("is not one of {}", words.join(", "))
    })
}

fn word<T: PartialEq>(value: &T, words: &[(&str, T)]) -> String {
    let found = words.iter().find(|(_, known)| known == value);
    found.map_or_else(String::new, |(word, _)| (*word).to_owned())
}

fn order(text: &str) -> Result<Order, String> {
    let words: Vec<_> = Order::ALL
        .iter()
        .map(|(order, name)| (*name, *order))
        .collect();
    one_of(text, &words)
}

fn start(text: &str) -> Result<Start, String> {
    if let Ok(position) = text.parse::<Position>() {
        return Ok(Start::Position(position));
    }
    if let Ok(time) = Timestamp::parse(text) {
        return Ok(Start::Time(time));
    }
    one_of(
        text,
        &[("latest", Start::Latest), ("earliest", Start::Earliest)],
    )
    .map_err(|problem| format!("{problem}, nor a position, nor a time"))
}

fn start_text(start: &Start) -> String {
    match start {
        Start::Latest => "latest".to_owned(),
        Start::Earliest => "earliest".to_owned(),
        Start::Position(position) => position.to_string(),
        Start::Time(time) => time.to_string(),
    }
}

const AFTER: [(&str, AfterDeadLetter); 2] = [
    ("hold", AfterDeadLetter::Hold),
    ("continue", AfterDeadLetter::Continue),
];
const WHILE: [(&str, While); 2] = [("skip", While::Skip), ("cancel", While::Cancel)];
const SHEDDING: [(&str, Shedding); 2] = [("later", Shedding::Later), ("reject", Shedding::Reject)];

fn after_dead_letter(text: &str) -> Result<AfterDeadLetter, String> {
    one_of(text, &AFTER)
}

fn after_text(after: &AfterDeadLetter) -> String {
    word(after, &AFTER)
}

fn while_(text: &str) -> Result<While, String> {
    one_of(text, &WHILE)
}

fn while_text(then: &While) -> String {
    word(then, &WHILE)
}

fn shedding(text: &str) -> Result<Shedding, String> {
    one_of(text, &SHEDDING)
}

fn shedding_text(then: &Shedding) -> String {
    word(then, &SHEDDING)
}

fn by(text: &str) -> Result<By, String> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if (1..=NAME_LENGTH_MAX).contains(&text.len()) && text.bytes().all(good) {
        return Ok(By::new(text.to_owned()));
    }
    Err(format!(
        "is not the name of an attribute: 1 to {NAME_LENGTH_MAX} of a-z and 0-9"
    ))
}

fn by_text(by: &By) -> String {
    by.name().to_owned()
}

fn weights(text: &str) -> Result<BTreeMap<String, u32>, String> {
    let mut weights = BTreeMap::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let bad = || format!("'{part}' is not a weight such as gold=3, from 1 to {WEIGHT_MAX}");
        let (group, weight) = part.rsplit_once('=').ok_or_else(bad)?;
        let weight = from_one(weight.trim()).map_err(|_| bad())?;
        if weight > WEIGHT_MAX {
            return Err(bad());
        }
        weights.insert(group.trim().to_owned(), weight);
    }
    if weights.len() > WEIGHTS_MAX {
        return Err(format!("has more than {WEIGHTS_MAX} groups"));
    }
    Ok(weights)
}

fn weights_text(weights: &BTreeMap<String, u32>) -> String {
    let parts: Vec<_> = weights
        .iter()
        .map(|(group, weight)| format!("{group}={weight}"))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests;
