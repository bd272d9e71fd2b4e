//! `hence tail`: events as they come, across restarts of the server.

mod follow;
mod writer;

use self::follow::{Follow, Start};
use self::writer::Writer;
use super::error::{Fault, Result};
use super::event::{Item, Page, read};
use super::filter::Filter;
use super::format::{self, Format};
use super::global::{Global, Times};
use super::moment;
use super::output::Output;
use super::query::Query;
use super::remote::Remote;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence tail 'order.*' --from earliest --count 3
  hence tail order.placed --since 1h --count 1 --format '%p %k %d%n'
  hence tail --from earliest --count 2 --json";

/// Shows events as they come. It settles nothing and moves no subscription.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Tail {
    #[command(flatten)]
    filter: Filter,

    /// Where to begin: `earliest`, a position, a time, or how long ago: `10m`. Without it, with
    /// the next event, or with those that `--since` names.
    #[arg(long, value_name = "START")]
    from: Option<String>,

    /// Stop after so many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Write each event in this format; `help` lists the marks.
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["json", "plain"])]
    format: Option<String>,

    #[command(flatten)]
    times: Times,
}

impl Tail {
    pub(crate) async fn run(self, out: &mut Output, global: &Global) -> Result<()> {
        if self.format.as_deref() == Some("help") {
            for (mark, meaning) in format::HELP {
                out.line(&format!("{mark:10}{meaning}"))?;
            }
            return Ok(());
        }
        let format = self.format.as_deref().map(Format::parse).transpose();
        let format = format.map_err(|cause| {
            Fault::INPUT
                .error("the format is not understood")
                .cause(cause)
                .fix("`hence tail --format help` lists the marks")
        })?;
        let remote = Remote::open(global)?;
        let start = self.start(out, &remote).await?;
        let writer = Writer::new(format, self.times);
        Follow::new(self.filter, self.count, remote, start, writer)
            .run(out)
            .await
    }

    /// Where to begin. The next event becomes a fixed place now, so that nothing is lost when the
    /// server restarts before it came.
    async fn start(&self, out: &mut Output, remote: &Remote) -> Result<Start> {
        let from = match (self.from.as_deref(), self.filter.since) {
            (Some("latest"), _) | (None, None) => {
                let query = Query::default().with("order", "desc").with("limit", "1");
                let page: Page = remote.get(out, "/v1/events", &query).await?;
                return match page.items.first() {
                    Some(newest) => Ok(Start::After(read::<Item>(newest.get())?.position)),
                    None => Ok(Start::From("earliest".to_owned())),
                };
            }
            (None, Some(since)) => since.to_string(),
            // How long ago is ours to say; a position or a time is the server's to understand.
            (Some(from), _) => match moment::duration(from).and_then(|_| moment::past(from)) {
                Ok(begin) => begin.to_string(),
                Err(_) => from.to_owned(),
            },
        };
        Ok(Start::From(from))
    }
}
