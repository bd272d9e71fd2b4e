//! `hence config`: what happens when nothing else was said.

use hence::defaults::{self, Default};
use serde_json::json;

use super::error::Result;
use super::output::{Form, Output, Style};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence config show --defaults
  hence config show --defaults --json";

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Config {
    Show(Show),
}

/// Shows what happens when nothing else was said.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Show {
    /// The table of safe defaults.
    #[arg(long, required = true)]
    defaults: bool,
}

impl Config {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let Self::Show(_) = self;
        let mut group = "";
        for row in defaults::defaults() {
            match out.form() {
                Form::Json => out.json(&json!({
                    "name": row.name, "group": row.group,
                    "when": row.when, "then": row.then, "because": row.because,
                }))?,
                Form::Plain => out.row([row.name, row.group, &row.when, &row.then])?,
                Form::Human => {
                    if row.group != group {
                        group = row.group;
                        let head = out.paint(Style::Head, group);
                        out.line(&head)?;
                    }
                    human(out, &row)?;
                }
            }
        }
        Ok(())
    }
}

fn human(out: &mut Output, row: &Default) -> Result<()> {
    out.line(&format!("  {}", row.when))?;
    out.line(&format!("    {}", row.then))?;
    if row.because.is_empty() {
        return Ok(());
    }
    let because = out.paint(Style::Faint, row.because);
    out.line(&format!("    {because}"))
}
