use super::*;

#[test]
fn the_names_for_only_are_the_steps() {
    let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
    assert_eq!(names, STEP_NAMES);
}

#[test]
fn tallies_add_up() {
    let mut total = Tally::one(true);
    total.add(Tally::failure("it"));
    let open = vec!["x".to_owned()];
    total.add(Tally {
        passed: 3,
        not_covered: open.clone(),
        ..Tally::default()
    });
    let failures = vec!["it".to_owned()];
    assert_eq!(
        total,
        Tally {
            passed: 4,
            failed: 1,
            failures,
            not_covered: open
        }
    );
}

#[test]
fn a_summary_line_shouts_only_when_something_failed() {
    let took = Duration::from_millis(1234);
    assert!(summary_line("fmt", &Tally::one(true), took).starts_with("ok "));
    assert!(summary_line("fmt", &Tally::one(true), took).contains("1.2 s"));
    assert!(summary_line("fmt", &Tally::one(false), took).starts_with("FAILED"));
}
