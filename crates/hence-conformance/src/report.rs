//! `Report`: what became of every case on one engine, and the table of several engines.

use std::collections::BTreeMap;
use std::fmt;

use crate::case::{Case, Verdict};

/// What became of every case on one engine.
#[derive(Clone, Debug)]
pub struct Report {
    /// The name that the harness gave.
    pub engine: String,
    /// The cases in the order of the suite, with their verdicts.
    pub results: Vec<(Case, Verdict)>,
}

/// How many cases of one guarantee came to which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases whose need is not declared, and is refused.
    pub refused: usize,
    /// Cases that could not be tried.
    pub not_covered: usize,
}

impl Tally {
    fn add(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Failed(_) => &mut self.failed,
            Verdict::Refused => &mut self.refused,
            Verdict::NotCovered(_) => &mut self.not_covered,
        } += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.failed, "**fail**"),
            (self.passed, "hold"),
            (self.refused, "refused"),
            (self.not_covered, "not covered"),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        f.write_str(if parts.is_empty() { "–" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

impl Report {
    /// Whether no case failed. What is not covered does not fail, and does not pass either.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &(Case, Verdict)> {
        self.results
            .iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
    }

    /// All cases together.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.results
            .iter()
            .for_each(|(_, verdict)| tally.add(verdict));
        tally
    }

    /// The cases of each guarantee, by its number. Those of none stand under 0.
    #[must_use]
    pub fn guarantees(&self) -> BTreeMap<u32, Tally> {
        let mut tallies: BTreeMap<u32, Tally> = BTreeMap::new();
        for (case, verdict) in &self.results {
            let numbers = case
                .guarantees
                .iter()
                .filter_map(|id| id.strip_prefix('G')?.parse().ok());
            let mut numbers: Vec<u32> = numbers.collect();
            if numbers.is_empty() {
                numbers.push(0);
            }
            for number in numbers {
                tallies.entry(number).or_default().add(verdict);
            }
        }
        tallies
    }
}

impl fmt::Display for Report {
    /// A Markdown table of the cases.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| Case | Guarantees | On `{}` |\n|---|---|---|",
            self.engine
        )?;
        for (case, verdict) in &self.results {
            let verdict = verdict.to_string().replace('|', "\\|").replace('\n', " ");
            writeln!(
                f,
                "| `{}` | {} | {verdict} |",
                case.name,
                case.guarantees.join(" ")
            )?;
        }
        Ok(())
    }
}

/// A Markdown table of guarantees, one column for each engine.
#[must_use]
pub fn table(reports: &[Report]) -> String {
    let mut text = String::from("| Guarantee |");
    for report in reports {
        text.push_str(" `");
        text.push_str(&report.engine);
        text.push_str("` |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(reports.len()));
    text.push('\n');
    let columns: Vec<_> = reports.iter().map(Report::guarantees).collect();
    let mut numbers: Vec<u32> = columns.iter().flat_map(BTreeMap::keys).copied().collect();
    // What belongs to no guarantee comes last.
    numbers.sort_unstable_by_key(|number| number.wrapping_sub(1));
    numbers.dedup();
    for number in numbers {
        let name = if number == 0 {
            "the rest of the contract".to_owned()
        } else {
            format!("G{number}")
        };
        let mut cells = vec![name];
        for column in &columns {
            cells.push(column.get(&number).copied().unwrap_or_default().to_string());
        }
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests;
