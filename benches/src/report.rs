//! The table that a benchmark prints, and the file that it writes.

use std::fs;
use std::io::Write as _;

use serde::Serialize;

/// One measured figure.
#[derive(Clone, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) row: String,
    /// The median.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What it stands beside, with its median.
    pub(crate) beside: Option<String>,
    /// The median of the ratios, round by round.
    pub(crate) ratio: Option<f64>,
    /// What the ratio, or the value where there is none, should reach.
    pub(crate) goal: Option<f64>,
    /// Whether it does.
    pub(crate) met: Option<bool>,
}

impl Row {
    /// A figure without a peer.
    pub(crate) fn plain(row: &str, value: f64, unit: &'static str) -> Self {
        Self {
            row: row.to_owned(),
            value,
            unit,
            beside: None,
            ratio: None,
            goal: None,
            met: None,
        }
    }

    /// A figure beside another that was measured in the same rounds; more is better.
    pub(crate) fn beside(row: &str, unit: &'static str, name: &str, rounds: &[(f64, f64)]) -> Self {
        let ratio = median(rounds.iter().map(|(ours, theirs)| ours / theirs));
        let theirs = median(rounds.iter().map(|(_, theirs)| *theirs));
        Self {
            row: row.to_owned(),
            value: median(rounds.iter().map(|(ours, _)| *ours)),
            unit,
            beside: Some(format!("{name} {}", number(theirs))),
            ratio: Some(ratio),
            goal: None,
            met: None,
        }
    }

    /// The same with a goal for the ratio.
    pub(crate) fn goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self.met = self.ratio.map(|ratio| ratio >= goal);
        self
    }

    /// The same with a goal that the ratio, or the value where there is none, should not exceed.
    pub(crate) fn at_most(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self.met = Some(self.ratio.unwrap_or(self.value) <= goal);
        self
    }

    /// The same beside one more.
    pub(crate) fn also(mut self, name: &str, value: f64) -> Self {
        let found = format!("{name} {}", number(value));
        self.beside = Some(match self.beside {
            Some(before) => format!("{before}, {found}"),
            None => found,
        });
        self
    }

    /// The same with a goal that the value should reach.
    pub(crate) fn reach(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self.met = Some(self.value >= goal);
        self
    }
}

/// Says what a run could not measure, and why.
pub(crate) fn not_covered(what: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "NOT COVERED: {what}")?;
    Ok(())
}

/// The middle of some figures.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn number(value: f64) -> String {
    if value >= 1_000_000.0 {
        format!("{:.2} M", value / 1e6)
    } else if value >= 10_000.0 {
        format!("{:.1} k", value / 1e3)
    } else if value >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Prints the table and writes `target/bench/NAME.json`.
pub(crate) fn finish(name: &str, rows: &[Row]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let width = rows
        .iter()
        .map(|row| row.row.chars().count())
        .max()
        .unwrap_or(0);
    writeln!(
        out,
        "{:width$}  {:>10} {:12} {:>6} {:>8}  beside",
        name, "median", "unit", "ratio", "goal"
    )?;
    for row in rows {
        let ratio = row
            .ratio
            .map(|ratio| format!("{ratio:.2}"))
            .unwrap_or_default();
        let goal = row.goal.map(number).unwrap_or_default();
        let mark = match row.met {
            Some(true) => " met",
            Some(false) => " NOT MET",
            None => "",
        };
        let beside = row.beside.as_deref().unwrap_or_default();
        let value = number(row.value);
        writeln!(
            out,
            "{:width$}  {value:>10} {:12} {ratio:>6} {goal:>8}  {beside}{mark}",
            row.row, row.unit
        )?;
    }
    let path = format!("target/bench/{name}.json");
    fs::create_dir_all("target/bench")?;
    fs::write(&path, serde_json::to_vec_pretty(rows)?)?;
    writeln!(out, "written to {path}")?;
    Ok(())
}
