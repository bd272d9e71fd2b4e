use super::*;

fn problems(text: &str) -> Vec<String> {
    Findings::of(check, &House::of(&[("docs/start.md", text)]))
}

#[test]
fn finished_work_passes() {
    assert_eq!(
        problems("Run it from docs/work/ or https://x.example/home/page; todo = 1."),
        [""; 0]
    );
    assert_eq!(problems("mktemp -d XXXXXX"), [""; 0]);
}

#[test]
fn machine_paths_fail() {
    assert_eq!(
        problems("a\ncd /home/ann/hence"),
        ["docs/start.md:2: : a path of one machine: `/home/` (say it relatively)"]
    );
    assert_eq!(problems("`/root/x` and \"/work/y\"").len(), 2);
}

#[test]
fn marks_of_unfinished_work_fail() {
    for text in [
        "// TODO: later",
        "FIXME",
        "todo!()",
        "unimplemented!(\"x\")",
        "XXX",
    ] {
        assert_eq!(problems(text).len(), 1, "{text}");
    }
}
