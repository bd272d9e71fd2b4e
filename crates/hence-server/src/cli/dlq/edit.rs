//! `hence dlq edit`: a dead letter again with other data.

use bytes::Bytes;

use super::DeadLetter;
use super::redrive::tell;
use crate::cli::error::Result;
use crate::cli::global::Global;
use crate::cli::input::Bodies;
use crate::cli::output::{Form, Output, clean};
use crate::cli::query::{Query, encode};
use crate::cli::remote::{Ask, Remote};

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence dlq edit charge-card.12 \"$(hence dlq show charge-card.12 --data | sed 's/: -1/: 1/')\"";

/// Sends a dead letter again with other data: a copy takes its place in the order of its key.
///
/// The copy has an id of its own and names the original as its cause. No other subscription sees it.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Edit {
    /// The id, as `hence dlq ls` lists it.
    id: String,

    /// The data: JSON text, `@FILE`, or `-` for standard input.
    data: String,

    /// Show what would change, and send nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Edit {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        let data = match Bodies::open(Some(&self.data), false, true)? {
            Bodies::Whole(data) => data,
            Bodies::None | Bodies::Lines(_) => Bytes::new(),
        };
        let remote = Remote::open(global)?;
        let path = format!("/v1/deadletters/{}", encode(&self.id));
        let letter: DeadLetter = remote.get(out, &path, &Query::default()).await?;
        if self.dry_run {
            let new = String::from_utf8_lossy(&data);
            if out.form() == Form::Human {
                let old = letter.event.data_laid_out().unwrap_or_default();
                let new = crate::cli::raw::pretty(new.trim());
                differ(out, &old, &new)?;
            } else {
                tell(out, &letter, "would be sent edited")?;
            }
            out.note("nothing was sent");
            return Ok(());
        }
        let mut body = b"{\"data\":".to_vec();
        body.extend_from_slice(&data);
        body.push(b'}');
        let ask = Ask {
            body: body.into(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            ..Ask::post(format!("{path}/redrive"), Query::default())
        };
        remote.ask(out, &ask).await?;
        tell(out, &letter, "sent again, edited")?;
        out.next(&format!("hence trace {}", letter.position));
        Ok(())
    }
}

/// The lines that differ, as two columns of signs: `-` is gone, `+` is new.
fn differ(out: &mut Output, old: &str, new: &str) -> Result<()> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same = |a: &[&str], b: &[&str]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let head = same(&old, &new);
    let (old, new) = (
        old.get(head..).unwrap_or_default(),
        new.get(head..).unwrap_or_default(),
    );
    let back =
        |lines: &[&str]| -> Vec<String> { lines.iter().rev().map(|l| (*l).to_owned()).collect() };
    let (old_back, new_back) = (back(old), back(new));
    let tail = old_back
        .iter()
        .zip(&new_back)
        .take_while(|(a, b)| a == b)
        .count();
    for (sign, lines) in [("-", old), ("+", new)] {
        let changed = lines.len().saturating_sub(tail);
        for line in lines.iter().take(changed) {
            out.line(&format!("{sign} {}", clean(line)))?;
        }
    }
    Ok(())
}
