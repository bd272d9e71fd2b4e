//! One event of a tail as a line: in columns, in a format, as JSON or as fields.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::cli::error::Result;
use crate::cli::event::{Event, read};
use crate::cli::format::Format;
use crate::cli::global::Times;
use crate::cli::output::{Form, Output, Style, clean};
use crate::cli::table::{columns, shorten};

/// The widest that the column of subjects and keys becomes.
const ABOUT_MAX: usize = 24;

/// How the events of a tail are written.
pub(super) struct Writer {
    format: Option<Format>,
    times: Times,
    /// How wide position, type and subject have been so far.
    widths: (usize, usize, usize),
}

impl Writer {
    pub(super) fn new(format: Option<Format>, times: Times) -> Self {
        Self {
            format,
            times,
            widths: (4, 14, 6),
        }
    }

    /// Writes an event, which came as `line`.
    pub(super) fn write(&mut self, out: &mut Output, line: &Bytes, event: &Event) -> Result<()> {
        let position = event.or_empty("henceposition");
        if let Some(format) = &self.format {
            return out.bytes(format.write(&position, event).as_bytes());
        }
        let data = event.data().unwrap_or_default();
        match out.form() {
            Form::Json => out.raw(read::<Box<RawValue>>(line)?.as_ref()),
            Form::Plain => out.row([
                position.as_str(),
                &event.or_empty("time"),
                &event.or_empty("type"),
                &event.or_empty("source"),
                &event.or_empty("subject"),
                &event.or_empty("partitionkey"),
                &event.or_empty("id"),
                &data,
            ]),
            Form::Human => {
                let text = self.for_people(out, &position, event, &data);
                out.line(&text)
            }
        }
    }

    /// Position, type, subject or key, time and data in columns that grow as they must.
    fn for_people(&mut self, out: &Output, position: &str, event: &Event, data: &str) -> String {
        let (kind, about) = (event.or_empty("type"), event.about());
        let (kind, about) = (clean(&kind), clean(&about));
        let (p, k, a) = &mut self.widths;
        *p = (*p).max(columns(position));
        *k = (*k).max(columns(&kind));
        *a = (*a).max(columns(&about)).min(ABOUT_MAX);
        let time = self.times.show(&event.or_empty("time"));
        let head = format!("{position:>p$}  ", p = *p);
        let kind = out.paint(Style::Name, &format!("{kind:k$}", k = *k));
        let about = format!("  {:a$}  ", shorten(&about, *a), a = *a);
        let time_width = if self.times.utc { 27 } else { 10 };
        let used = columns(&head) + *k + columns(&about) + time_width + 2;
        let room = out
            .width()
            .map_or(usize::MAX, |width| width.saturating_sub(used).max(8));
        let time = out.paint(Style::Faint, &format!("{time:time_width$}"));
        let line = format!("{head}{kind}{about}{time}  {}", shorten(&clean(data), room));
        line.trim_end().to_owned()
    }
}
