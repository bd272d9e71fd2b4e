//! Backups of a data directory, as their users meet them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::directory::small_segments;
use crate::program::{Ran, hence, run};
use crate::server::Server;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn a_served_directory_is_backed_up_and_served_again_from_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (data, copy, again) = (place("data"), place("copy"), place("again"));
    let server = Server::on(&data);
    let letter = server.dead_letter();
    let position = server.done(&["publish", "a.b", "{\"n\":1}", "--plain"]);
    let position = position.split('\t').next().unwrap().to_owned();
    let before = server.done(&["get", &position, "--json"]);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                server.done(&["publish", "a.b", "{}"]);
            }
        });
        let foretold = json(&run(&[
            "backup",
            text(&data),
            "--to",
            text(&copy),
            "-n",
            "--json",
        ]));
        assert!(foretold["dryrun"] == true && !copy.exists(), "{foretold}");
        let ran = run(&["backup", text(&data), "--to", text(&copy), "--json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        let about = json(&ran);
        let last: u64 = about["positions"]["last"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(last >= position.parse().unwrap(), "{about}");
        ended.store(true, Ordering::Relaxed);
    });
    drop(server);

    let dry = run(&["restore", text(&copy), "--to", text(&again), "--dry-run"]);
    assert!(dry.code == 0 && !again.exists(), "{dry:?}");
    let ran = run(&["restore", text(&copy), "--to", text(&again)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("hence dev --data"), "{ran:?}");
    let server = Server::on(&again);
    assert_eq!(server.done(&["get", &position, "--json"]), before);
    assert!(server.done(&["dlq", "ls", "--plain"]).contains(&letter));
    let next = server.done(&["publish", "a.b", "{}", "--plain"]);
    let next: u64 = next.split('\t').next().unwrap().parse().unwrap();
    assert!(
        next > 1_000_000,
        "what the lost log gave out does not come back: {next}"
    );
}

#[test]
fn a_backup_that_is_not_whole_is_refused_by_code_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (data, copy, again) = (place("data"), place("copy"), place("again"));
    small_segments(&data);
    assert_eq!(run(&["backup", text(&data), "--to", text(&copy)]).code, 0);
    let restore = |more: &[&str]| {
        let ran = run(&[&["restore", text(&copy), "--to", text(&again)], more].concat());
        assert!(!again.exists(), "{ran:?}");
        ran
    };
    let segment = copy.join("segment-00000000000000000002.hlog");
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, &whole[..whole.len() - 1]).unwrap();
    let ran = restore(&[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("HN0215") && ran.stderr.contains("segment-00000000000000000002.hlog"),
        "{ran:?}"
    );
    assert_eq!(restore(&["--dry-run"]).code, 7);
    fs::write(&segment, whole).unwrap();
    let manifest = fs::read(copy.join("manifest")).unwrap();
    fs::remove_file(copy.join("manifest")).unwrap();
    let ran = restore(&[]);
    assert!(
        ran.stderr.contains("HN0215") && ran.stderr.contains("did not end"),
        "{ran:?}"
    );
    fs::write(copy.join("manifest"), manifest).unwrap();

    // A backup is no data directory, and what is there is left alone.
    let ran = run(&["log", "check", text(&copy)]);
    assert!(
        ran.stderr.contains("HN0208") && ran.stderr.contains("restore"),
        "{ran:?}"
    );
    let ran = run(&["restore", text(&copy), "--to", text(&data)]);
    assert!(ran.code == 6 && ran.stderr.contains("HN0213"), "{ran:?}");
    let ran = run(&["backup", text(&data), "--to", text(&copy)]);
    assert!(ran.code == 6 && ran.stderr.contains("HN0213"), "{ran:?}");
    let ran = run(&["backup", text(&again), "--to", text(&place("new"))]);
    assert!(ran.code == 5 && ran.stderr.contains("HN0211"), "{ran:?}");
    assert_eq!(run(&["restore", text(&copy), "--to", text(&again)]).code, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_backup_leaves_none_and_is_taken_again() {
    /// The last of them comes after nine seconds.
    const KILLS_MAX: i32 = 45;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let (data, copy) = (place("data"), place("copy"));
    small_segments(&data);
    let (mut killed, mut taken) = (0, false);
    // From a kill before anything was done to one that comes too late, in steps that grow with what
    // the machine takes for it.
    let steps = (0..KILLS_MAX).map(|step| 1.2_f64.powi(step) - 1.0);
    for patience in steps.map(|step| std::time::Duration::from_millis(3).mul_f64(step)) {
        let mut child = hence(&["backup", text(&data), "--to", text(&copy)])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begin = std::time::Instant::now();
        while begin.elapsed() < patience {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        let whole = run(&[
            "restore",
            text(&copy),
            "--to",
            text(&place("no")),
            "--dry-run",
        ]);
        if ended.success() {
            assert_eq!(whole.code, 0, "{whole:?}");
            taken = true;
            break;
        }
        killed += 1;
        if whole.code == 0 {
            fs::remove_dir_all(&copy).unwrap();
        } else {
            assert!(
                whole.stderr.contains("HN0215") || !copy.exists() && whole.code == 7,
                "{whole:?}"
            );
        }
    }
    assert!(killed > 0, "the first kill comes before anything");
    assert!(taken, "a backup that was killed is never taken again");
}
