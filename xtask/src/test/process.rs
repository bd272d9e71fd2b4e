//! A child process with a limit on its time.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// How a child ended, and what it wrote to its standard output.
pub(super) struct Ended {
    /// Nothing when it had to be killed.
    pub(super) status: Option<ExitStatus>,
    pub(super) output: String,
}

/// Runs a command without input for at most `limit`; errors go to our own standard error.
pub(super) fn run(command: &mut Command, limit: Duration) -> Result<Ended> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?} could not be started"))?;
    let mut pipe = child.stdout.take().context("stdout is piped")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.read_to_end(&mut bytes);
        // The receiver is gone when the limit passed: then nobody wants the output.
        let _ = sender.send(read.map(|_| bytes));
    });
    match receiver.recv_timeout(limit) {
        Ok(bytes) => {
            let output = String::from_utf8_lossy(&bytes?).into_owned();
            Ok(Ended {
                status: Some(child.wait()?),
                output,
            })
        }
        Err(_) => {
            child.kill()?;
            child.wait()?;
            Ok(Ended {
                status: None,
                output: String::new(),
            })
        }
    }
}

#[cfg(test)]
mod tests;
