//! `hence simulate`: the plan by simulation alone, with a seed that repeats it.

use serde_json::json;

use super::error::Result;
use super::event::read;
use super::global::Global;
use super::output::{Form, Output};
use super::plan::answer::Answer;
use super::plan::{Change, What, question, table, verdict};
use super::remote::Remote;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence simulate
  hence simulate --load 1.5x --seed 7 --reps 20";

/// Simulates the running application from what the server measured of it; exits with 9 when the data
/// cannot carry an answer.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Simulate {
    /// The same seed gives the same random numbers.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// Independent repetitions, from 2 to 100; the bands come from how they differ.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    reps: u32,

    #[command(flatten)]
    change: Change,
}

impl Simulate {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let mut members = self.change.members()?;
        let simulate = json!({"seed": self.seed, "reps": self.reps});
        members.insert("simulate".to_owned(), simulate);
        let remote = Remote::open(global)?;
        let body = remote.ask(out, &question(members)).await?.body;
        let answer: Answer = read(&body)?;
        match out.form() {
            Form::Json => out.line(String::from_utf8_lossy(&body).trim_end())?,
            _ => table(out, &answer)?,
        }
        verdict(out, &answer, What::All)
    }
}
