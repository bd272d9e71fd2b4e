//! `powercut`: the power goes for a real kernel and a real file system (A3).
//!
//! The log lies on ext4 in an image on a memory disk. `FS_IOC_SHUTDOWN` without a flush of the
//! journal drops whatever was not made durable; then the subject is killed, the image mounted
//! again, and what is there compared with the ledger. It shows what a file system loses, not what
//! a drive loses that does not honour flush.
//!
//! All mounts are made in a mount namespace of their own, so that the kernel undoes them whatever
//! becomes of this process.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::Extent;
use crate::crash::Sum;
use crate::cycle::{Cycle, Disaster};
use crate::place::Place;
use crate::process::{Process, myself};
use crate::report::{Report, say};

/// Cuts of the short and the long form.
const CUTS: (u64, u64) = (60, 2000);
/// Cuts of one log.
const CUTS_OF_ONE: u64 = 20;
/// Bytes of the image.
pub(crate) const IMAGE_BYTES: u64 = 96 << 20;
/// Bytes of a segment.
const SEGMENT_BYTES: u32 = 256 << 10;
/// One life in so many has handlers, whose synced commits leave little to lose.
const HANDLING: u64 = 3;
/// The share of cuts, in percent, that must take unsynced bytes.
const LOSSY_PERCENT: u64 = 20;
/// Set for the process that runs in the mount namespace.
const INSIDE: &str = "HENCE_CAMPAIGN_NAMESPACE";

/// `FS_IOC_SHUTDOWN` with `NOLOGFLUSH`, without `unsafe`: one path a line, one answer a line.
const HELPER: &str = "\
import fcntl, os, struct, sys
for line in sys.stdin:
    try:
        fd = os.open(line.rstrip('\\n'), os.O_RDONLY)
        try:
            fcntl.ioctl(fd, 0x8004587D, struct.pack('I', 2))
        finally:
            os.close(fd)
        print('cut', flush=True)
    except OSError as error:
        print(error, flush=True)
";

/// Runs this program again in a mount namespace of its own; `None` inside it.
pub(crate) fn in_namespace(arguments: &[String]) -> Result<Option<bool>> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(None);
    }
    let program = myself()?;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(program.get_program())
        .args(arguments)
        .env(INSIDE, "1")
        .status()
        .context("`unshare` (of util-linux) could not be started")?;
    Ok(Some(status.success()))
}

/// The arguments of a campaign, to run it again.
pub(crate) fn arguments(campaign: &str, extent: Extent) -> Vec<String> {
    let mut arguments = vec![campaign.to_owned(), format!("--seed={}", extent.seed)];
    if extent.short {
        arguments.push("--short".to_owned());
    }
    arguments.extend(extent.count.map(|count| format!("--count={count}")));
    arguments
}

/// An ext4 image, mounted; unmounted when dropped.
pub(crate) struct Image {
    image: PathBuf,
    mount: PathBuf,
    mounted: bool,
}

impl Image {
    /// Makes and mounts a file system of this size.
    pub(crate) fn new(place: &Place, bytes: u64) -> Result<Self> {
        let (image, mount) = (place.path("image"), place.path("mount"));
        fs::create_dir(&mount)?;
        fs::File::create(&image)?.set_len(bytes)?;
        // What ext4 would write later, in the background, is written now.
        let eager = "lazy_itable_init=0,lazy_journal_init=0";
        done(
            Command::new("mkfs.ext4")
                .args(["-q", "-F", "-E", eager])
                .arg(&image),
        )?;
        let mut made = Self {
            image,
            mount,
            mounted: false,
        };
        made.mount()?;
        Ok(made)
    }

    fn mount(&mut self) -> Result<()> {
        done(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&self.image)
                .arg(&self.mount),
        )?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<()> {
        done(Command::new("umount").arg(&self.mount))?;
        self.mounted = false;
        Ok(())
    }

    /// A directory on it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.mount.join(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted {
            // The namespace ends with us and takes the mount with it.
            let _ = done(Command::new("umount").arg("-l").arg(&self.mount));
        }
    }
}

fn done(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} could not be started"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", words.trim());
    Ok(())
}

/// The process that makes the cut.
struct Switch {
    child: Child,
    answers: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Switch {
    fn new() -> Result<Self> {
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

    fn cut(&mut self, mount: &Path) -> Result<()> {
        let input = self.child.stdin.as_mut().context("stdin is piped")?;
        writeln!(input, "{}", mount.display())?;
        let answer = self.answers.next().context("the switch has ended")??;
        ensure!(
            answer == "cut",
            "the kernel refuses to shut the file system down: {answer}"
        );
        Ok(())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Cut<'a> {
    image: Image,
    switch: &'a mut Switch,
}

impl Disaster for Cut<'_> {
    fn dir(&self) -> PathBuf {
        self.image.path("log")
    }

    fn strike(&mut self, subject: &mut Process) -> Result<bool> {
        // The power takes the processors, too. Without this the subject lives on for some hundred
        // microseconds, in which ext4 may call a sync a success that its aborted journal dropped.
        subject.freeze()?;
        self.switch.cut(&self.image.mount)?;
        // It may have ended by itself, of an error that the cut led to.
        subject.kill()?;
        self.image.unmount()?;
        self.image.mount()?;
        Ok(true)
    }

    fn loses_power(&self) -> bool {
        true
    }
}

/// Why this machine cannot cut the power, if it cannot.
pub(crate) fn missing() -> Result<Option<String>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Some("mounting an image needs root".to_owned()));
    }
    let place = Place::in_memory()?;
    let tried = Image::new(&place, 8 << 20);
    Ok(tried.err().map(|error| format!("{error:#}")))
}

/// Runs the campaign.
pub(crate) fn run(extent: Extent) -> Result<bool> {
    let mut report = Report::new("powercut", extent);
    if rustix::process::geteuid().is_root()
        && let Some(passed) = in_namespace(&arguments("powercut", extent))?
    {
        return Ok(passed);
    }
    if let Some(reason) = missing()? {
        report.not_covered.push(reason);
        return report.finish();
    }
    let begin = Instant::now();
    let cuts = extent.count(CUTS.0, CUTS.1);
    report.setting("cuts of one log", CUTS_OF_ONE);
    report.setting("segment bytes", SEGMENT_BYTES);
    report.setting("file system", "ext4 on a loop image in memory");
    let (mut sum, mut switch) = (Sum::default(), Switch::new()?);
    for round in 0..cuts.div_ceil(CUTS_OF_ONE) {
        let count = CUTS_OF_ONE.min(cuts - round * CUTS_OF_ONE);
        let seed = extent.seed.wrapping_mul(1_000_003) + round;
        let place = Place::in_memory()?;
        let image = Image::new(&place, IMAGE_BYTES)?;
        let mut cycle = Cycle::new(&place, seed, SEGMENT_BYTES);
        let mut cut = Cut {
            image,
            switch: &mut switch,
        };
        let lived = lives(&mut cycle, &mut cut, count);
        if lived.is_err() || !cycle.oracle.problems.is_empty() {
            let kept = cycle.keep_evidence(&cut.dir(), &format!("powercut-{seed}"))?;
            say(&format!(
                "round {round} (seed {seed}) went wrong, see {kept}"
            ));
        }
        lived?;
        sum.add(&cycle, &mut report);
    }
    let mut row = sum.row("FS_IOC_SHUTDOWN, no flush");
    row.note = format!("{} cuts took unsynced bytes; {}", sum.lossy(), row.note);
    if sum.lossy() * 100 < cuts * LOSSY_PERCENT {
        row.invalid = cuts;
        row.note = format!("too few cuts could have hurt; {}", row.note);
    }
    report.rows.push(row);
    report.seconds = begin.elapsed().as_secs_f64();
    report.finish()
}

fn lives(cycle: &mut Cycle, cut: &mut Cut<'_>, count: u64) -> Result<()> {
    for life in 0..count {
        let mode = if life % HANDLING == 2 {
            "load"
        } else {
            "quiet"
        };
        cycle.live(cut, mode)?;
    }
    let dir = cut.dir();
    cycle.finish(&dir, true)
}
