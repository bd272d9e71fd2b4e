//! `hence model export`: the model behind the plan, as data or as a program for another tool.

use std::path::PathBuf;

use hence_planner::export::{to_ciw, to_line};

use super::error::{Fault, Result};
use super::global::Global;
use super::output::Output;
use super::plan::local::Modelled;
use super::remote::Remote;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence model export > model.json
  hence model export --to ciw > model.py
  hence model export --to line --from model.json";

#[derive(clap::Subcommand, Debug)]
pub(crate) enum Model {
    Export(Export),
}

/// Which form.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum To {
    /// Data that `hence plan --from`, `hence plan --diff` and `hence simulate` read.
    Json,
    /// A program for Ciw, a simulator in Python.
    Ciw,
    /// A program for LINE, solvers in Python.
    Line,
}

/// Writes the model that the server has measured, so that another tool can check its answers.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Export {
    /// Which form.
    #[arg(long, value_enum, default_value = "json")]
    to: To,

    /// Take a model that was written earlier, without a server.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl Model {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let Self::Export(Export { to, from }) = self;
        let modelled = match from {
            Some(path) => Modelled::open(&path)?,
            None => Modelled::fetch(out, &Remote::open(global)?).await?,
        };
        let program = match to {
            To::Json => return out.json(&modelled),
            To::Ciw => to_ciw(&modelled.model),
            To::Line => to_line(&modelled.model),
        };
        let program = program.map_err(|missing| {
            let error = Fault::UNSAID
                .error("that tool cannot express this model")
                .fix("export it as JSON, or check a part of it");
            missing.into_iter().fold(error, super::error::Error::cause)
        })?;
        out.bytes(program.as_bytes())
    }
}
