//! A chain of events as bars: when each delivery waited, ran and backed off.
//!
//! ```text
//!   waiting ·    running █    backing off ░
//! ```

use std::time::Duration;

use hence::core::Timestamp;

use super::{Delivery, Node};
use crate::cli::moment;
use crate::cli::output::{Output, Style, clean};
use crate::cli::table::{columns, shorten};

/// Columns of a bar where the width of the terminal is not known.
const BAR: usize = 40;
/// Columns of the names at most.
const NAME_MAX: usize = 36;

/// What a delivery does in a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    BackingOff,
}

/// A delivery with its phases, each from a moment to a moment.
struct Row {
    name: String,
    state: String,
    phases: Vec<(Phase, Timestamp, Timestamp)>,
}

/// Bars below one scale.
pub(super) struct Waterfall {
    rows: Vec<Row>,
    begin: Timestamp,
    whole: Duration,
}

impl Waterfall {
    pub(super) fn of(nodes: &[&Node]) -> Self {
        let rows: Vec<Row> = nodes
            .iter()
            .flat_map(|node| node.deliveries.iter().filter_map(|one| row(node, one)))
            .collect();
        let moments = || rows.iter().flat_map(|row| &row.phases);
        let begin = moments().map(|phase| phase.1).min();
        let end = moments().map(|phase| phase.2).max();
        let begin = begin.unwrap_or(Timestamp::from_micros(0));
        let whole = end.map_or(Duration::ZERO, |end| end.since(begin));
        Self { rows, begin, whole }
    }

    /// One line for each delivery, below the scale.
    pub(super) fn lines(&self, out: &Output) -> Vec<String> {
        let names = self.rows.iter().map(|row| columns(&row.name));
        let width = names.max().unwrap_or(0).min(NAME_MAX);
        let bar = out
            .width()
            .map_or(BAR, |all| all.saturating_sub(width + 20).clamp(10, 100));
        let scale = format!(
            "{:width$}  0{:>rest$}",
            "",
            moment::span(self.whole),
            rest = bar - 1
        );
        let mut lines = vec![out.paint(Style::Faint, &scale)];
        for row in &self.rows {
            let name = shorten(&row.name, width);
            let pad = " ".repeat(width.saturating_sub(columns(&name)));
            let style = match row.state.as_str() {
                "done" => Style::Good,
                "dead" => Style::Bad,
                _ => Style::Wait,
            };
            let drawn = out.paint(style, &self.bar(row, bar));
            lines.push(format!("{name}{pad}  {drawn}  {}", clean(&row.state)));
        }
        let key = "· waiting  █ running  ░ backing off";
        lines.push(out.paint(Style::Faint, &format!("{:width$}  {key}", "")));
        lines
    }

    /// Each column shows what goes on in its middle, and a call that is shorter than one column
    /// shows all the same.
    fn bar(&self, row: &Row, width: usize) -> String {
        let column = |moment: Timestamp| {
            let share = moment.since(self.begin).as_secs_f64() / self.whole.as_secs_f64().max(1e-9);
            ((share * width as f64) as usize).min(width - 1)
        };
        let mut cells = vec![' '; width];
        let of = |wanted: Phase| row.phases.iter().filter(move |phase| phase.0 == wanted);
        for (phase, sign) in [
            (Phase::Waiting, '·'),
            (Phase::BackingOff, '░'),
            (Phase::Running, '█'),
        ] {
            for (_, from, to) in of(phase) {
                let (from, to) = (column(*from), column(*to));
                cells
                    .iter_mut()
                    .take(to + 1)
                    .skip(from)
                    .for_each(|cell| *cell = sign);
            }
        }
        cells.into_iter().collect::<String>().trim_end().to_owned()
    }
}

/// The phases of a delivery: it waits from the append to its first call and backs off between two.
fn row(node: &Node, delivery: &Delivery) -> Option<Row> {
    let mut before = Timestamp::parse(&node.appended).ok()?;
    let mut phases = Vec::new();
    for (number, attempt) in delivery.attempts.iter().enumerate() {
        let ended = Timestamp::parse(&attempt.ended).ok()?;
        let ran = moment::duration(&attempt.ran).ok()?;
        let micros = i64::try_from(ran.as_micros()).unwrap_or(i64::MAX);
        let began = Timestamp::from_micros(ended.as_micros().saturating_sub(micros)).max(before);
        let phase = if number == 0 {
            Phase::Waiting
        } else {
            Phase::BackingOff
        };
        phases.push((phase, before, began));
        phases.push((Phase::Running, began, ended));
        before = ended;
    }
    if let Some(due) = &delivery.due {
        phases.push((Phase::BackingOff, before, Timestamp::parse(due).ok()?));
    }
    let kind = clean(&node.event.or_empty("type")).into_owned();
    Some(Row {
        name: format!(
            "{} {kind} {}",
            clean(&node.position),
            clean(&delivery.subscription)
        ),
        state: delivery.state.clone(),
        phases,
    })
}

#[cfg(test)]
mod tests;
