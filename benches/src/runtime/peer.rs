//! Watermill's GoChannel, built where Go is.

use std::process::Command;

use super::payload::Payload;

const PROGRAM: &str = "target/bench/watermill";

/// Builds it; false, and said, where there is no Go or no module.
pub(super) fn build() -> anyhow::Result<bool> {
    let output = std::env::current_dir()?.join(PROGRAM);
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(output)
        .arg(".")
        .current_dir("benches/peers/watermill")
        .status();
    let is_there = built.is_ok_and(|status| status.success());
    if !is_there {
        crate::report::not_covered("Watermill's GoChannel: Go is missing, or its module")?;
    }
    Ok(is_there)
}

/// Events per second.
pub(super) fn rate(payload: Payload, events: usize) -> anyhow::Result<f64> {
    let data = String::from_utf8(payload.bytes().to_vec())?;
    let mode = if payload == Payload::Json {
        "decode"
    } else {
        "bytes"
    };
    let output = Command::new(PROGRAM)
        .args([&events.to_string(), &data, mode])
        .output()?;
    anyhow::ensure!(output.status.success(), "GoChannel failed");
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
