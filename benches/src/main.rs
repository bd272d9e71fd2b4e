//! The benchmarks of Hence: `cargo xtask bench NAME [--short]`.
//!
//! Every figure is measured beside its peer or the physical limit in the same run, round by round,
//! and what travels is the ratio. A benchmark prints a table and writes `target/bench/NAME.json`.

mod load;
mod plan;
mod report;
mod spine;

use clap::Parser;

/// Measures Hence beside its limits.
#[derive(Parser)]
struct Bench {
    /// Which benchmark.
    #[command(subcommand)]
    name: Name,
    /// End within 50 seconds.
    #[arg(long, global = true)]
    short: bool,
}

#[derive(clap::Subcommand)]
enum Name {
    /// Publish to handled, in memory and on the log.
    Spine,
    /// Predicted response times beside measured ones.
    Plan,
    /// Publishes and handles that many events and measures nothing: for callgrind and profilers.
    Count {
        /// How many.
        events: usize,
        /// The engine.
        #[arg(long, default_value = "memory:")]
        url: String,
        /// Publishes under way at a time.
        #[arg(long, default_value_t = 1)]
        window: usize,
    },
}

fn main() -> anyhow::Result<()> {
    let bench = Bench::parse();
    match bench.name {
        Name::Spine => spine::run(bench.short),
        Name::Plan => plan::run(bench.short),
        Name::Count {
            events,
            url,
            window,
        } => spine::count(&url, events, window),
    }
}
