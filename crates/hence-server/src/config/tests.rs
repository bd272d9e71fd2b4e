use super::*;

const EXPECTED: Expected<'_> = Expected {
    engine: "memory:",
    orders: false,
    token: false,
    subscriptions: &|_| vec!["reserve-stock".to_owned(), "charge-card".to_owned()],
};

fn loaded(
    text: &str,
    variables: &[(&str, &str)],
    expected: &Expected<'_>,
) -> Result<Config, Invalid> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hence.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("secret"), "s3cret\n").unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(&file), variables, expected)
}

fn load_text(text: &str) -> Result<Config, Invalid> {
    loaded(text, &[], &EXPECTED)
}

const WHOLE: &str = r#"
engine = "log:./data"
durability = "written"
[gateway]
listen = "127.0.0.1:4400"
dedup = "2h"
hosts = ["hence.example"]
origins = ["https://shop.example"]
[gateway.limits]
event = "64KiB"
body = "2MiB"
batch = 10
connections = 7
wait = "5s"
idempotency = 100
[demo]
orders = true
rate = 2
[[subscription]]
id = "charge-card"
config = { concurrency = 8, timeout = "15s", order = "fifo", deadletter = "continue", from = "earliest", retry = { attempts = 3, first = "1s", factor = 2, max = "1m" } }
[[token]]
name = "shop"
secret = "${file:secret}"
allow = ["publish", "read"]
[[token]]
name = "ops"
hash = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
allow = ["redrive"]
"#;

#[test]
fn every_key_is_read() {
    let config = load_text(WHOLE).unwrap();
    assert_eq!(config.engine, "log:./data");
    assert_eq!(config.durability, Some(Durability::Written));
    assert_eq!(config.listen.to_string(), "127.0.0.1:4400");
    assert_eq!(config.dedup, Duration::from_secs(7_200));
    assert_eq!((config.hosts.len(), config.origins.len()), (1, 1));
    let limits = config.limits;
    assert_eq!(
        (limits.event, limits.body, limits.batch),
        (65_536, 2 << 20, 10)
    );
    assert_eq!(
        (limits.connections, limits.wait, limits.idempotency),
        (7, Duration::from_secs(5), 100)
    );
    assert_eq!(
        config.demo,
        Demo {
            orders: true,
            rate: 2.0
        }
    );
    // The file gives what `sha256("s3cret")` would, and the second is `sha256("secret")`.
    let secret = Token::of_secret("shop", "s3cret", vec![Verb::Publish, Verb::Read]);
    let hashed = Token::of_secret("ops", "secret", vec![Verb::Redrive]);
    assert_eq!(config.tokens, [secret, hashed]);
    let mut options = Options::default();
    config.subscriptions[0].1.set(&mut options);
    assert_eq!((options.concurrency, options.order), (8, Order::Fifo));
    assert_eq!((options.retry.attempts, options.retry.factor), (3, 2.0));
    assert_eq!(options.after_dead_letter, AfterDeadLetter::Continue);
    assert_eq!(options.timeout, Duration::from_secs(15));
}

#[test]
fn no_file_gives_the_defaults() {
    let config = load(None, [], &EXPECTED).unwrap();
    assert_eq!(
        (config.engine.as_str(), config.limits),
        ("memory:", Limits::default())
    );
    assert_eq!(config.listen, Listen::default());
}

#[test]
fn all_errors_come_at_once_each_with_its_place_line_and_suggestion() {
    let text = "engin = \"log:x\"\ndurability = \"synched\"\n[gateway.limits]\nevent = 5\nmax_body = \"1MiB\"\nbatch = 0\n[[subscription]]\nid = \"charge-crad\"\nconfig = { concurency = 1 }\n[[token]]\nname = \"a b\"\nsecret = \"clear\"\nallow = [\"publsh\"]\n";
    let said = load_text(text).unwrap_err().to_string();
    for part in [
        "10 errors",
        "hence.toml:1:1: there is no key 'engin'; did you mean 'engine'?",
        "  1 | engin = \"log:x\"\n    | ^",
        "hence.toml:2:14: 'durability' = synched is not one of accepted, written, synced; did you mean 'synced'?",
        "hence.toml:4:9: 'event' = 5 is not a size such as 64KiB",
        "there is no key 'max_body' in 'gateway.limits'",
        "'batch' must be a whole number, 1 or more",
        "hence.toml:8:6: no code defines a subscription 'charge-crad'; did you mean 'charge-card'?",
        "there is no key 'concurency' in 'subscription.config'; did you mean 'concurrency'?",
        "'publsh' is nothing that a token can allow; did you mean 'publish'?",
        "a secret does not stand in the file",
        "hence errors HN0501",
    ] {
        assert!(said.contains(part), "{part}\n---\n{said}");
    }
}

#[test]
fn broken_syntax_has_a_place_too() {
    let said = load_text("engine = \n[gateway\nlisten = 1\n")
        .unwrap_err()
        .to_string();
    assert!(said.contains("hence.toml:1:"), "{said}");
    assert!(said.contains("hence.toml:2:"), "{said}");
}

#[test]
fn the_environment_stands_above_the_file() {
    let text = "[gateway.limits]\nevent = \"64KiB\"\n";
    let variables = [
        ("HENCE_GATEWAY__LIMITS__EVENT", "1MiB"),
        ("HENCE_ENGINE", "log:x"),
        ("HENCE_SERVER", "http://x"),
    ];
    let config = loaded(text, &variables, &EXPECTED).unwrap();
    assert_eq!(
        (config.limits.event, config.engine.as_str()),
        (1 << 20, "log:x")
    );
    let wrong = [
        ("HENCE_GATEWAY__LIMITS__EVNT", "1MiB"),
        ("HENCE_GATEWAY__LIMITS__BODY", "x"),
    ];
    let said = loaded(text, &wrong, &EXPECTED).unwrap_err().to_string();
    assert!(
        said.contains("variable HENCE_GATEWAY__LIMITS__EVNT: sets no key"),
        "{said}"
    );
    assert!(
        said.contains("variable HENCE_GATEWAY__LIMITS__BODY: 'body' = x is not a size"),
        "{said}"
    );
}

#[test]
fn text_takes_variables_and_files_but_no_toml() {
    let config = load_text("engine = \"log:${env:HENCE_NO_SUCH:-./here}/$$x\"\n").unwrap();
    assert_eq!(config.engine, "log:./here/$x");
    for (text, part) in [
        (
            "engine = \"log:${env:HENCE_NO_SUCH}\"",
            "no variable 'HENCE_NO_SUCH'",
        ),
        ("engine = \"log:${file:nowhere}\"", "cannot read"),
        ("engine = \"log:${evn:X}\"", "did you mean 'env'"),
        ("engine = \"log:$HOME\"", "write $$"),
    ] {
        let said = load_text(text).unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_server_without_a_token_does_not_start() {
    let expected = Expected {
        token: true,
        ..EXPECTED
    };
    let said = loaded("engine = \"memory:\"", &[], &expected)
        .unwrap_err()
        .to_string();
    assert!(said.contains("needs a [[token]]"), "{said}");
    assert!(loaded(WHOLE, &[], &expected).is_ok());
}

#[test]
fn values_with_units_are_read_strictly() {
    for (text, millis) in [
        ("200ms", 200),
        ("10s", 10_000),
        ("1.5s", 1_500),
        ("5m", 300_000),
        ("24h", 86_400_000),
    ] {
        assert_eq!(
            value::duration(text),
            Ok(Duration::from_millis(millis)),
            "{text}"
        );
    }
    for text in ["10", "", "s", "-1s", "1 s", "1e3s", "infs", "10S"] {
        assert!(value::duration(text).is_err(), "{text}");
    }
    assert_eq!(value::size("64KiB"), Ok(65_536));
    assert_eq!(value::size("1MB"), Ok(1_000_000));
    for text in ["64", "KiB", "1.5MiB", "-1B", "99999999999GiB"] {
        assert!(value::size(text).is_err(), "{text}");
    }
}

#[test]
fn a_name_that_is_defined_twice_shows_both_places() {
    let twice = "[[subscription]]\nid = \"charge-card\"\n".repeat(2);
    let said = load_text(&twice).unwrap_err().to_string();
    assert!(
        said.contains("hence.toml:3:1: 'charge-card' is defined twice, first on line 1"),
        "{said}"
    );
}

#[test]
fn retention_is_read_and_its_contradictions_are_told() {
    let read = |text: &str| {
        let table = format!("[topic.events]\nretention = {{ {text} }}\n");
        load_text(&table).map(|config| config.retention)
    };
    let kept = read(r#"age = "30d", size = "20GiB""#).unwrap();
    assert_eq!(kept.age, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!((kept.bytes, kept.settled), (Some(20 << 30), false));
    assert!(read("settled = true").unwrap().settled);
    assert_eq!(load_text("").unwrap().retention, Retention::default());
    for (text, wanted) in [
        (r#"age = "30""#, "is not a duration"),
        (r#"size = "20G""#, "is not a size"),
        (r#"size = "0B""#, "more than nothing"),
        (r#"size = "1GiB", settled = true"#, "beside 'settled'"),
        (r#"ages = "30d""#, "did you mean"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
    let other = load_text("[topic.logins]\nretention = { age = \"30d\" }\n");
    let error = other.unwrap_err().to_string();
    assert!(error.contains("logins"), "{error}");
}
