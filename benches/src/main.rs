//! The benchmarks of Hence: `cargo xtask bench NAME [--short]`.
//!
//! Every figure is measured beside its peer or the physical limit in the same run, round by round,
//! and what travels is the ratio. A benchmark prints a table and writes `target/bench/NAME.json`.

mod load;
mod log;
mod plan;
mod report;
mod runtime;
mod spine;

use clap::Parser;

/// Measures Hence beside its limits.
#[derive(Parser)]
struct Bench {
    /// Which benchmark.
    #[command(subcommand)]
    name: Name,
    /// End within 50 seconds on a machine that does nothing else.
    #[arg(long, global = true)]
    short: bool,
}

#[derive(clap::Subcommand)]
enum Name {
    /// Publish to handled, in memory and on the log.
    Spine,
    /// The log and the engine on it, beside what the disk gives.
    Log {
        /// One part only: append, whole, latency, read, many or breadth.
        part: Option<String>,
    },
    /// Publishes that many events that nobody settles, says what memory that took, and waits to be
    /// killed: a child of `log`.
    #[command(hide = true)]
    Fill {
        /// The directory of the log.
        dir: String,
        /// How many.
        events: usize,
    },
    /// The way of an event in memory, beside a channel, RustStream and Watermill.
    Runtime,
    /// Counts what an event costs, and fails where that is more than its ceiling.
    Ceilings,
    /// A fixed program that measures nothing: for valgrind, as a child of `runtime`.
    #[command(hide = true)]
    CountRuntime {
        /// By which library.
        who: runtime::Who,
        /// What travels.
        payload: runtime::Payload,
        /// What is done with it.
        work: runtime::Work,
        /// How many.
        events: usize,
    },
    /// Publishes that many as fast as it can, and says what memory that took: a child of `runtime`.
    #[command(hide = true)]
    Burst {
        /// By which library.
        who: runtime::Who,
        /// How many.
        events: usize,
    },
    /// Has many keys wait and says what memory that took: a child of `runtime`.
    #[command(hide = true)]
    Lanes {
        /// How they are ordered.
        lanes: runtime::Lanes,
    },
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
        Name::Log { part } => log::run(bench.short, part.as_deref()),
        Name::Fill { dir, events } => log::many::fill(&dir, events),
        Name::Runtime => runtime::run(bench.short),
        Name::Ceilings => runtime::ceilings(),
        Name::CountRuntime {
            who,
            payload,
            work,
            events,
        } => runtime::program(who, payload, work, events),
        Name::Burst { who, events } => runtime::burst(who, events),
        Name::Lanes { lanes } => runtime::waiting_lanes(lanes),
        Name::Plan => plan::run(bench.short),
        Name::Count {
            events,
            url,
            window,
        } => spine::count(&url, events, window),
    }
}
