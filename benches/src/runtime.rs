//! `runtime`: the way of an event through `memory:`, beside a bare channel, RustStream's memory
//! broker and Watermill's GoChannel, with the same payloads in the same run.

mod burst;
mod drive;
mod instructions;
mod keyed;
mod latency;
mod payload;
mod peer;
mod zipf;

use tokio::runtime::Runtime;

pub(crate) use self::burst::child as burst;
pub(crate) use self::instructions::{Who, Work, ceilings, program};
pub(crate) use self::payload::Payload;
pub(crate) use self::zipf::{Lanes, child as waiting_lanes};
use crate::report::{self, Row};

struct Sizes {
    rounds: usize,
    events: usize,
    fan_out: usize,
    awaits: usize,
    timed: usize,
    durable: usize,
    burst: usize,
    drawn: usize,
}

/// Runs the benchmark.
pub(crate) fn run(short: bool) -> anyhow::Result<()> {
    let sizes = if short {
        Sizes {
            rounds: 1,
            events: 100_000,
            fan_out: 1_000,
            awaits: 400,
            timed: 2_000,
            durable: 16,
            burst: 200_000,
            drawn: 20_000,
        }
    } else {
        Sizes {
            rounds: 5,
            events: 500_000,
            fan_out: 10_000,
            awaits: 2_000,
            timed: 10_000,
            durable: 160,
            burst: 1_000_000,
            drawn: 200_000,
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut rows = throughput(&runtime, &sizes)?;
    rows.extend(fan_out(&runtime, &sizes)?);
    rows.extend(lanes(&runtime, &sizes)?);
    rows.extend(latencies(&runtime, &sizes)?);
    rows.extend(bursts(&sizes)?);
    rows.extend(keys(&sizes)?);
    rows.extend(instructions::rows()?);
    report::finish("runtime", &rows)
}

fn throughput(runtime: &Runtime, sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let has_go = peer::build()?;
    for (payload, name, goal) in [
        (Payload::Json, "JSON of 310 B, decoded", 0.85),
        (Payload::Bytes, "bytes", 0.60),
    ] {
        let (mut bare, mut theirs, mut go) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..sizes.rounds {
            let ours = runtime.block_on(drive::hence(payload, sizes.events, 1))?;
            bare.push((
                ours,
                runtime.block_on(drive::channel(payload, sizes.events, false))?,
            ));
            let rival = drive::ruststream(payload, sizes.events, 1, false);
            theirs.push((ours, runtime.block_on(rival)?));
            if has_go {
                go.push((ours, peer::rate(payload, sizes.events)?));
            }
        }
        let row = |name: &str, peer: &str, rounds: &[(f64, f64)]| {
            Row::beside(name, "events/s", peer, rounds)
        };
        rows.push(row(name, "tokio mpsc", &bare).goal(goal));
        rows.push(row("  the same", "RustStream", &theirs));
        if has_go {
            rows.push(row("  the same", "GoChannel", &go).goal(5.0));
        }
    }
    let (mut bare, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        let ours = runtime.block_on(drive::hence_typed(sizes.events))?;
        let channel = drive::channel(Payload::Json, sizes.events, true);
        bare.push((ours, runtime.block_on(channel)?));
        let rival = drive::ruststream(Payload::Json, sizes.events, 1, true);
        theirs.push((ours, runtime.block_on(rival)?));
    }
    let name = "JSON of 310 B, encoded and decoded";
    rows.push(Row::beside(name, "events/s", "tokio mpsc", &bare).goal(0.8));
    rows.push(Row::beside("  the same", "events/s", "RustStream", &theirs));
    Ok(rows)
}

fn fan_out(runtime: &Runtime, sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    const SUBSCRIPTIONS: usize = 100;
    let mut rows = Vec::new();
    // Five million deliveries a second where RustStream has 1.9 million.
    for (payload, name, goal) in [(Payload::Bytes, "bytes", 1.0), (Payload::Json, "JSON", 2.6)] {
        let mut rounds = Vec::new();
        for _ in 0..sizes.rounds {
            let ours = drive::hence(payload, sizes.fan_out, SUBSCRIPTIONS);
            let ours = runtime.block_on(ours)?;
            let theirs = drive::ruststream(payload, sizes.fan_out, SUBSCRIPTIONS, false);
            let theirs = runtime.block_on(theirs)?;
            rounds.push((ours * SUBSCRIPTIONS as f64, theirs * SUBSCRIPTIONS as f64));
        }
        let name = format!("fan-out to {SUBSCRIPTIONS}, {name}");
        rows.push(Row::beside(&name, "deliveries/s", "RustStream", &rounds).goal(goal));
    }
    Ok(rows)
}

fn lanes(runtime: &Runtime, sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (events, waits, name, goal) in [
        (sizes.events, false, "4 workers by key, free handler", 0.9),
        (sizes.awaits, true, "4 workers by key, 1 ms await", 3.5),
    ] {
        let mut rounds = Vec::new();
        for _ in 0..sizes.rounds {
            rounds.push(runtime.block_on(keyed::pair(events, waits))?);
        }
        rows.push(Row::beside(name, "events/s", "one after the other", &rounds).goal(goal));
    }
    Ok(rows)
}

fn latencies(runtime: &Runtime, sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    const RATE: f64 = 2_000.0;
    let ours = runtime.block_on(latency::hence(sizes.timed, RATE))?;
    let bare = runtime.block_on(latency::channel(sizes.timed, RATE))?;
    let theirs = runtime.block_on(latency::ruststream(sizes.timed, RATE))?;
    let beside = [("tokio mpsc", bare), ("RustStream", theirs)];
    let mut rows = latency::rows("latency at 2,000/s", ours, &beside);
    let dir = tempfile::Builder::new()
        .prefix("bench")
        .tempdir_in("target")?;
    let (ours, raw) = runtime.block_on(latency::durable(dir.path(), sizes.durable))?;
    let durable = latency::rows("synced publish at 8/s", ours, &[("write+fdatasync", raw)]);
    rows.extend(durable.into_iter().map(|row| row.at_most(2.0)));
    Ok(rows)
}

fn keys(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let name = "p99 with a million keys by Zipf's law, 70 % load";
    let rounds = [zipf::p99(sizes.drawn)?];
    let response = Row::beside(name, "s", "no order", &rounds).at_most(1.2);
    let name = format!("a lane, of {} that have something", zipf::LANES);
    let lane = Row::plain(&name, zipf::lane_bytes()?, "B").at_most(200.0);
    Ok(vec![response, lane])
}

fn bursts(sizes: &Sizes) -> anyhow::Result<Vec<Row>> {
    let name = format!("memory of a burst of {} publishes", sizes.burst);
    let row = Row::plain(&name, burst::peak("hence", sizes.burst)?, "MiB")
        .also("RustStream", burst::peak("ruststream", sizes.burst)?)
        .also("tokio mpsc", burst::peak("channel", sizes.burst)?);
    Ok(vec![row.at_most(64.0)])
}
