//! Data directories: looked at, saved, and refused, as their users meet it.

use std::fs;
use std::path::{Path, PathBuf};

use hence_log::{Level, Log, Op, Options};
use serde_json::Value;

use crate::program::{Ran, run};
use crate::server::{Server, free_address};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn segment(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("segment-{generation:020}.hlog"))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// A log of several small segments; its events are no events of Hence.
pub(crate) fn small_segments(dir: &Path) {
    let options = Options::default().segment_bytes(4 << 10);
    let (mut writer, _, _) = Log::open(dir, options).unwrap();
    for at in 1..=100 {
        writer.stage(at, [Op::append(1, &[b'x'; 100])]).unwrap();
        writer.commit(Level::Synced).unwrap();
    }
    writer.close().unwrap();
    assert!(segment(dir, 3).exists());
}

/// What `hence dev` says to a directory that it does not take.
fn refused(dir: &Path) -> Ran {
    let address = free_address();
    let ran = run(&[
        "dev",
        "--no-demo",
        "--listen",
        &address,
        "--data",
        text(dir),
    ]);
    assert!(ran.stderr.contains("page:  hence errors HN"), "{ran:?}");
    ran
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_log_is_checked_and_measured_while_it_is_served_and_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::on(&data);
    server.done(&["publish", "a.b", "{}", "--count", "1"]);
    for state in ["served", "killed"] {
        let ran = run(&["log", "check", text(&data), "--json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{state}");
        let report = json(&ran);
        assert_eq!(report["intact"], true, "{state}: {report}");
        assert_eq!(report["events"], 1, "{state}: {report}");
        assert_eq!(report["positions"]["last"], "1");
        let stat = json(&run(&["log", "stat", text(&data), "--json"]));
        assert_eq!(
            (&stat["segments"], &stat["first"]),
            (&1.into(), &"1".into())
        );
        server.kill();
    }
    let plain = run(&["log", "check", text(&data), "--plain"]).stdout;
    assert!(plain.lines().any(|line| line == "events\t1"), "{plain}");
    let human = run(&["log", "stat", text(&data)]).stdout;
    assert!(human.starts_with("segments "), "{human}");
}

#[test]
fn a_damaged_log_is_found_refused_and_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved) = (folder.path().join("data"), folder.path().join("saved"));
    let server = Server::on(&data);
    let events: Vec<_> = (1..=5)
        .map(|n| {
            let position = server.done(&["publish", "a.b", &format!("{{\"n\":{n}}}"), "--plain"]);
            position.split('\t').next().unwrap().to_owned()
        })
        .collect();
    let before = server.done(&["get", &events[4], "--json"]);
    drop(server);
    // Within the first event, with others behind it.
    let bytes = fs::read(segment(&data, 1)).unwrap();
    let at = bytes
        .windows(7)
        .position(|found| found == b"{\"n\":1}")
        .unwrap();
    flip(&segment(&data, 1), at);

    let ran = run(&["log", "check", text(&data), "--json"]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.stderr.contains("HN0206") && ran.stderr.contains("log salvage"));
    let report = json(&ran);
    assert_eq!(report["intact"], false);
    assert!(
        report["problems"][0]["file"]
            .as_str()
            .unwrap()
            .ends_with("1.hlog")
    );

    let ran = refused(&data);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("HN0206") && ran.stderr.contains("at byte"),
        "{ran:?}"
    );

    let salvage = |more: &[&str]| {
        let ran = run(&[
            &[
                "log",
                "salvage",
                text(&data),
                "--to",
                text(&saved),
                "--json",
            ],
            more,
        ]
        .concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        json(&ran)
    };
    let mut foretold = salvage(&["--dry-run"]);
    assert!(!saved.exists(), "nothing was made");
    let rescued = salvage(&[]);
    foretold["dryrun"] = false.into();
    assert_eq!(foretold, rescued);
    assert_eq!(rescued["leftout"].as_array().unwrap().len(), 1, "{rescued}");
    assert!(rescued["leftout"][0]["offset"].as_u64().unwrap() <= at as u64);
    assert_eq!(run(&["log", "check", text(&saved)]).code, 0);
    let server = Server::on(&saved);
    assert_eq!(server.done(&["get", &events[4], "--json"]), before);
    let next = server.done(&["publish", "a.b", "{}", "--plain"]);
    let next: u64 = next.split('\t').next().unwrap().parse().unwrap();
    assert!(
        next > events[4].parse::<u64>().unwrap() + 1,
        "lost positions do not come back"
    );
}

#[test]
fn a_log_is_rebuilt_only_when_it_is_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::on(&data);
    let position = server.done(&["publish", "a.b", "{}", "--plain"]);
    let position = position.split('\t').next().unwrap().to_owned();
    let ran = run(&["log", "rebuild", text(&data)]);
    assert!(ran.code == 1 && ran.stderr.contains("HN0207"), "{ran:?}");
    drop(server);
    let before = names(&data);
    let foretold = run(&["log", "rebuild", text(&data), "-n", "--json"]);
    assert_eq!((foretold.code, names(&data)), (0, before), "{foretold:?}");
    let rebuilt = run(&["log", "rebuild", text(&data), "--json"]);
    assert_eq!(json(&foretold)["snapshots"], json(&rebuilt)["snapshots"]);
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");
    assert!(
        names(&data)
            .iter()
            .all(|name| !name.starts_with("snapshot-"))
    );
    assert!(!data.join("index").exists(), "the index is made anew too");
    Server::on(&data).done(&["get", &position]);
}

#[test]
fn what_is_no_log_is_not_found_and_a_place_that_is_taken_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (absent, empty) = (folder.path().join("absent"), folder.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    let data = folder.path().join("data");
    small_segments(&data);
    for dir in [&absent, &empty] {
        for command in ["check", "stat", "rebuild"] {
            let ran = run(&["log", command, text(dir), "--json"]);
            assert_eq!(
                (ran.code, ran.stdout.as_str()),
                (5, ""),
                "{command} {ran:?}"
            );
            assert!(ran.stderr.contains("HN0211"), "{ran:?}");
        }
        let ran = run(&[
            "log",
            "salvage",
            text(dir),
            "--to",
            text(&folder.path().join("to")),
        ]);
        assert_eq!(ran.code, 5, "{ran:?}");
    }
    assert!(!absent.exists() && names(&empty).is_empty());
    let file = data.join("lock");
    assert_eq!(run(&["log", "check", text(&file)]).code, 3);

    let before = names(&data);
    let ran = run(&["log", "salvage", text(&data), "--to", text(&data)]);
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.stderr.contains("HN0213"), "{ran:?}");
    assert_eq!(names(&data), before);
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::on(folder.path());
    let ran = refused(folder.path());
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("HN0207"), "{ran:?}");
    server.done(&["publish", "a.b", "{}"]);
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
    let ran = refused(folder.path());
    assert!(
        ran.stderr.contains("HN0208") && ran.stderr.contains("thesis.tex"),
        "{ran:?}"
    );
    assert_eq!(names(folder.path()), ["thesis.tex"]);
    let ran = refused(&folder.path().join("thesis.tex"));
    assert!(ran.code == 3 && ran.stderr.contains("HN0201"), "{ran:?}");
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[test]
fn another_format_a_newer_one_and_a_missing_segment_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let case = |name: &str| {
        let dir = folder.path().join(name);
        small_segments(&dir);
        dir
    };
    let newer = case("newer");
    let mut bytes = fs::read(segment(&newer, 1)).unwrap();
    bytes[8..12].copy_from_slice(&3_u32.to_le_bytes());
    let crc = crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(segment(&newer, 1), bytes).unwrap();
    let other = case("other");
    fs::write(segment(&other, 1), "-- a dump of a database\n".repeat(100)).unwrap();
    let missing = case("missing");
    fs::remove_file(segment(&missing, 2)).unwrap();
    let foreign = case("foreign");
    fs::copy(segment(&case("neighbour"), 2), segment(&foreign, 2)).unwrap();

    for (dir, code, word) in [
        (&newer, "HN0208", "format 3"),
        (&other, "HN0206", "not the header of a segment"),
        (&missing, "HN0206", "is missing"),
        (&foreign, "HN0206", "another log"),
    ] {
        let before = names(dir);
        let ran = refused(dir);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(
            ran.stderr.contains(code) && ran.stderr.contains(word),
            "{ran:?}"
        );
        assert_eq!(names(dir), before, "nothing is deleted");
        assert_eq!(
            run(&["log", "check", text(dir)]).code,
            7,
            "{}",
            dir.display()
        );
    }
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    small_segments(folder.path());
    fs::remove_file(folder.path().join("lock")).unwrap();
    let mode = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    if fs::write(folder.path().join(".probe"), "").is_ok() {
        eprintln!("not covered: permissions do not bind this user");
    } else {
        let ran = refused(folder.path());
        assert!(ran.code == 1 && ran.stderr.contains("HN0204"), "{ran:?}");
        assert_eq!(run(&["log", "check", text(folder.path())]).code, 0);
    }
    mode(0o755);
    // Nobody can make a directory there.
    let ran = refused(Path::new("/proc/hence-data"));
    assert!(ran.code == 1 && ran.stderr.contains("HN0204"), "{ran:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_cannot_sync_is_refused_unless_forced() {
    let memory = Path::new("/dev/shm");
    if hence_log::unsyncable(memory).ok().flatten() != Some("tmpfs") {
        eprintln!("not covered: there is no tmpfs");
        return;
    }
    let folder = tempfile::tempdir_in(memory).unwrap();
    let data = folder.path().join("data");
    let ran = refused(&data);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.stderr.contains("HN0212") && ran.stderr.contains("tmpfs"),
        "{ran:?}"
    );
    assert!(!data.exists(), "nothing was made");
    Server::forced_on(&data).done(&["publish", "a.b", "{}"]);
    let config = folder.path().join("hence.toml");
    fs::write(
        &config,
        format!("engine = \"log:{}?force=yes\"", text(&data)),
    )
    .unwrap();
    let address = free_address();
    let ran = run(&["dev", "--listen", &address, "-c", text(&config)]);
    assert!(ran.code == 3 && ran.stderr.contains("HN0201"), "{ran:?}");
}
