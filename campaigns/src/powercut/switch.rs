//! `FS_IOC_SHUTDOWN` without a flush of the journal: a file system lets go of all that is not durable.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result};

/// The call, without `unsafe`: one path a line; one answer a line, with the time at which it began.
const HELPER: &str = "\
import fcntl, os, struct, sys, time
for line in sys.stdin:
    try:
        fd = os.open(line.rstrip('\\n'), os.O_RDONLY)
        try:
            begin = time.monotonic_ns()
            fcntl.ioctl(fd, 0x8004587D, struct.pack('I', 2))
        finally:
            os.close(fd)
        print(begin, flush=True)
    except OSError as error:
        print(error, flush=True)
";

/// The process that makes the call.
pub(super) struct Switch {
    child: Child,
    answers: std::io::Lines<BufReader<ChildStdout>>,
}

impl Switch {
    pub(super) fn new() -> Result<Self> {
        let mut child = Command::new("python3")
            .args(["-c", HELPER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("`python3` could not be started")?;
        let answers = child.stdout.take().context("stdout is piped")?;
        Ok(Self {
            child,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// Cuts, and says when it began to, in nanoseconds of the monotonic clock.
    pub(super) fn cut(&mut self, mount: &Path) -> Result<u64> {
        let input = self.child.stdin.as_mut().context("stdin is piped")?;
        writeln!(input, "{}", mount.display())?;
        let answer = self.answers.next().context("the switch has ended")??;
        answer
            .parse()
            .with_context(|| format!("the kernel refuses to shut the file system down: {answer}"))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
