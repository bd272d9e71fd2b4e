//! `hence version`: which program this is.

use serde_json::json;

use super::error::Result;
use super::output::{Form, Output};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence version
  hence version --json";

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Shows the version of this program; `hence status` shows that of the server.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Version {}

impl Version {
    pub(crate) fn run(out: &mut Output) -> Result<()> {
        let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
        match out.form() {
            Form::Json => out.json(&json!({"version": VERSION, "os": system, "arch": machine})),
            Form::Plain => out.row([VERSION, system, machine]),
            Form::Human => out.line(&format!("hence {VERSION} ({system} {machine})")),
        }
    }
}
