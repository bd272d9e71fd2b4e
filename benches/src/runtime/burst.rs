//! What a burst of publishes takes in memory, each library in a process of its own.

use std::process::Command;

use anyhow::Context as _;

use super::drive;
use super::instructions::Who;
use super::payload::Payload;

/// Publishes as fast as it can while a handler handles, and prints the most memory that was used.
pub(crate) fn child(who: Who, events: usize) -> anyhow::Result<()> {
    use std::io::Write as _;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let payload = Payload::Bytes;
    runtime.block_on(async {
        match who {
            Who::Hence => drive::hence(payload, events, 1).await,
            Who::Ruststream => drive::ruststream(payload, events, 1, false).await,
            Who::Channel => drive::channel(payload, events, false).await,
        }
    })?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.context("the system does not tell VmHWM")?.parse()?;
    writeln!(std::io::stdout(), "{}", kib / 1024.0)?;
    Ok(())
}

/// The most memory of such a process, in MiB.
pub(super) fn peak(who: &str, events: usize) -> anyhow::Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .args(["burst", who, &events.to_string()])
        .output()?;
    anyhow::ensure!(output.status.success(), "the burst of {who} failed");
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
