//! A subject as its campaign holds it: a child process, its lines, and its end.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::line::Line;

/// How long a subject may say nothing before it counts as hanging.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(70);

/// How long the threads of a process take to see that it is stopped.
const FREEZING: Duration = Duration::from_micros(200);

/// How to start a subject.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// `load`, `quiet`, `finish`, `script` or `fill`.
    pub(crate) mode: &'static str,
    /// Which life of its log it is.
    pub(crate) life: u64,
    /// Where its dice begin.
    pub(crate) seed: u64,
    /// The first position that it tells.
    pub(crate) from: u64,
    /// Bytes of a segment.
    pub(crate) segment: u32,
    /// Events of a script.
    pub(crate) events: u64,
    /// Whether some events are only written.
    pub(crate) written: bool,
}

impl Start {
    /// The arguments for a log in a directory.
    pub(crate) fn arguments(&self, dir: &Path) -> Vec<String> {
        let mut arguments = vec![
            "subject".to_owned(),
            format!("--dir={}", dir.display()),
            format!("--mode={}", self.mode),
            format!("--life={}", self.life),
            format!("--seed={}", self.seed),
            format!("--from={}", self.from),
            format!("--segment={}", self.segment),
            format!("--events={}", self.events),
        ];
        if self.written {
            arguments.push("--written".to_owned());
        }
        arguments
    }
}

/// A running subject; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    ledger: File,
    errors: std::path::PathBuf,
}

impl Process {
    /// Starts a command that ends in a subject. What it says is kept in the ledger, what it
    /// complains about in a file beside it.
    pub(crate) fn start(command: &mut Command, ledger: &Path) -> Result<Self> {
        let append = |path: &Path| File::options().create(true).append(true).open(path);
        let errors = ledger.with_extension("errors");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(append(&errors)?)
            .spawn()
            .with_context(|| format!("{command:?} could not be started"))?;
        let pipe = child.stdout.take().context("stdout is piped")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            lines,
            ledger: append(ledger)?,
            errors,
        })
    }

    /// The next line; nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line>> {
        self.next_within(SILENCE_MAX)
    }

    /// The next line, if it comes soon enough.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Result<Option<Line>> {
        match self.lines.recv_timeout(patience) {
            Ok(text) => {
                writeln!(self.ledger, "{text}")?;
                Ok(Some(
                    serde_json::from_str(&text).with_context(|| format!("'{text}'"))?,
                ))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                let id = self.child.id();
                bail!("the subject {id} said nothing for {patience:?}")
            }
        }
    }

    /// Reads until a line passes the test, or to the end; gives all lines.
    pub(crate) fn until(&mut self, last: impl Fn(&Line) -> bool) -> Result<Vec<Line>> {
        let mut all = Vec::new();
        while let Some(line) = self.next()? {
            let is_last = last(&line);
            all.push(line);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Has it killed, without waiting for its end: no thread of it that is in a call comes back.
    pub(crate) fn shoot(&mut self) -> Result<()> {
        Ok(self.child.kill()?)
    }

    /// Kills it; true if it was alive until then.
    pub(crate) fn kill(&mut self) -> Result<bool> {
        use std::os::unix::process::ExitStatusExt as _;
        self.child.kill()?;
        Ok(self.child.wait()?.signal() == Some(9))
    }

    /// Stops it where it is: it says nothing more, and only the call that each of its threads is
    /// in goes on in the kernel.
    pub(crate) fn freeze(&self) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        let id = rustix::process::Pid::from_raw(id).context("a child has an id")?;
        // It may have ended by itself.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::STOP);
        std::thread::sleep(FREEZING);
        Ok(())
    }

    /// Waits for its own end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if begin.elapsed() > limit {
                self.child.kill()?;
                self.child.wait()?;
                bail!("the subject did not end within {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The last words it wrote to its standard error.
    pub(crate) fn complaints(&self) -> String {
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This very program.
pub(crate) fn myself() -> Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}
