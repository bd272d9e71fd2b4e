use super::*;

fn script(name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = env::temp_dir().join(format!("hence-xtask-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("run");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn tally(name: &str, text: &str, is_ci: bool) -> Tally {
    let script = script(name, text);
    let root = crate::house::root().unwrap();
    let metadata = crate::house::metadata(&root).unwrap();
    let workshop = Workshop {
        root,
        metadata,
        is_ci,
    };
    let place = Place {
        binary: PathBuf::from("hence"),
        path: env::var("PATH").unwrap(),
        node_path: PathBuf::new(),
    };
    let tally = run_script(&workshop, &place, &script, name).unwrap();
    fs::remove_dir_all(script.parent().unwrap()).unwrap();
    tally
}

#[test]
fn a_script_passes_or_fails_by_its_exit_code() {
    assert_eq!(
        tally("good", "test \"$HENCE_BIN\" = hence", true),
        Tally::one(true)
    );
    assert_eq!(tally("bad", "exit 1", false), Tally::failure("bad"));
}

#[test]
fn seventy_seven_is_a_gap_here_and_a_failure_on_ci() {
    let text = "echo no node; exit 77";
    let gap = vec!["gap: no node".to_owned()];
    assert_eq!(
        tally("gap", text, false),
        Tally {
            not_covered: gap.clone(),
            ..Tally::default()
        }
    );
    assert_eq!(
        tally("gap", text, true),
        Tally {
            failed: 1,
            not_covered: gap,
            ..Tally::default()
        }
    );
}
