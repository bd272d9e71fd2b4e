use super::*;

#[test]
fn colours_follow_the_flags_then_the_environment_then_the_terminal() {
    let with = |name: &'static str, value: &'static str| {
        move |asked: &str| if asked == name { value } else { "" }.to_owned()
    };
    assert!(wants_colour(true, false, with("", "")));
    assert!(!wants_colour(false, false, with("", "")));
    assert!(!wants_colour(true, true, with("FORCE_COLOR", "1")));
    assert!(!wants_colour(true, false, with("NO_COLOR", "1")));
    assert!(!wants_colour(true, false, with("TERM", "dumb")));
    assert!(wants_colour(false, false, with("FORCE_COLOR", "1")));
    assert!(!wants_colour(true, false, with("FORCE_COLOR", "0")));
}

#[test]
fn text_of_others_cannot_steer_the_terminal() {
    assert_eq!(clean("plain ✓"), "plain ✓");
    assert_eq!(clean("a\x1b[2Jb\nc\u{202e}"), "a\u{fffd}[2Jb c\u{fffd}");
}
