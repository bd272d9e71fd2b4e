//! `Table`: compact columns, numbers to the right, cut to the terminal.

use std::fmt::Display;

use super::error::Result;
use super::output::{Form, Output, Style, clean};

/// The space between two columns.
const GAP: &str = "  ";

/// To which side the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows under headings.
pub(crate) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<(String, Option<Style>)>>,
}

impl Table {
    pub(crate) fn new(columns: impl Into<Vec<(&'static str, Side)>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of cells without colour.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.styled(cells.into_iter().map(|cell| (cell, None)));
    }

    /// Adds a row of cells with their colours.
    pub(crate) fn styled(&mut self, cells: impl IntoIterator<Item = (String, Option<Style>)>) {
        let cells = cells.into_iter();
        self.rows.push(
            cells
                .map(|(text, style)| (clean(&text).into_owned(), style))
                .collect(),
        );
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the rows: under headings for people, bare and tab-separated with `--plain`.
    pub(crate) fn write(&self, out: &mut Output) -> Result<()> {
        if out.form() == Form::Plain {
            for row in &self.rows {
                out.row(row.iter().map(|(text, _)| text.as_str()))?;
            }
            return Ok(());
        }
        if self.is_empty() {
            return Ok(());
        }
        for line in self.lines(out) {
            out.line(&line)?;
        }
        Ok(())
    }

    fn lines(&self, out: &Output) -> Vec<String> {
        let head = self.columns.iter();
        let head: Vec<_> = head
            .map(|(name, _)| ((*name).to_owned(), Some(Style::Head)))
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = std::iter::once(&head).chain(&self.rows);
                let cells = cells.filter_map(|row| row.get(column));
                cells.map(|(text, _)| columns(text)).max().unwrap_or(0)
            })
            .collect();
        std::iter::once(&head)
            .chain(&self.rows)
            .map(|row| self.lay(row, &widths, out))
            .collect()
    }

    fn lay(&self, row: &[(String, Option<Style>)], widths: &[usize], out: &Output) -> String {
        let (mut line, mut used) = (String::new(), 0);
        let last = self.columns.len().saturating_sub(1);
        let cells = row.iter().zip(&self.columns).zip(widths).enumerate();
        for (number, (((text, style), (_, side)), width)) in cells {
            if number > 0 {
                line.push_str(GAP);
                used += GAP.len();
            }
            let room = out.width().map(|whole| whole.saturating_sub(used).max(8));
            let text = match room {
                Some(room) if number == last => shorten(text, room),
                _ => text.clone(),
            };
            let space = " ".repeat(width.saturating_sub(columns(&text)));
            used += columns(&text) + space.len();
            let painted = match style {
                Some(style) => out.paint(*style, &text),
                None => text,
            };
            match side {
                Side::Right => line.extend([space.as_str(), &painted]),
                Side::Left if number == last => line.push_str(&painted),
                Side::Left => line.extend([painted.as_str(), &space]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// How many columns a text takes, one for each character.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The text in at most `room` columns, with `…` where something is left out.
pub(crate) fn shorten(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let kept = text.chars().take(room.saturating_sub(1));
    kept.chain(['…']).collect()
}

/// `1 event`, `2 events`.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(number: N, one: &str) -> String {
    let end = if number == N::from(1) { "" } else { "s" };
    format!("{number} {one}{end}")
}

#[cfg(test)]
mod tests;
