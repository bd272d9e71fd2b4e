use hence::core::flow::{Shedding, While};
use hence::core::setting::SETTINGS;
use hence::core::{AfterDeadLetter, Breaker, By, Handler, Options, Retry, RetryBudget};
use hence::{Event, HandlerExt, Order, Start, handler, handlers};
use serde::{Deserialize, Serialize};

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

#[derive(Event, Serialize, Deserialize)]
#[event(type = "order.placed", key = order_id)]
struct OrderPlaced {
    order_id: String,
}

#[handler(
    name = "everything",
    order = "any",
    from = "earliest",
    concurrency = 8,
    timeout = "15s",
    after_dead_letter = "continue",
    causation_depth = 3,
    crashes = 5,
    retry(attempts = 2, first = "1s", factor = 2, max = "5m"),
    retry_budget(share = 0.2, per_second = 3),
    breaker(failures = 5, share = 0.25, probe = "1m"),
    batch(events = 7, bytes = 4096, age = "20ms", by = "tenantid"),
    limit(by = "tenantid", most = 2),
    throttle(calls = 10, per = "1m"),
    rate_limit(events = 5, per = "1h", by = "key"),
    debounce(by = "tenantid", quiet = "2s", most = "30s"),
    singleton(by = "tenantid", then = "cancel"),
    fair(by = "tenantid", weights = "gold=3, tin=1"),
    shed(wait = "250ms", then = "reject"),
    adaptive(least = 2, most = 64)
)]
async fn everything(_: OrderPlaced) {}

const EVERYTHING: &str = r#"
[[subscription]]
id = "everything"
[subscription.config]
order = "any"
from = "earliest"
concurrency = 8
timeout = "15s"
deadletter = "continue"
causationdepth = 3
crashes = 5
retry = { attempts = 2, first = "1s", factor = 2, max = "5m" }
retrybudget = { share = 0.2, persecond = 3 }
breaker = { failures = 5, share = 0.25, probe = "1m" }
batch = { events = 7, bytes = "4KiB", age = "20ms", by = "tenantid" }
limit = { by = "tenantid", most = 2 }
throttle = { calls = 10, per = "1m" }
ratelimit = { events = 5, per = "1h", by = "key" }
debounce = { by = "tenantid", quiet = "2s", most = "30s" }
singleton = { by = "tenantid", then = "cancel" }
fair = { by = "tenantid", weights = "gold=3, tin=1" }
shed = { wait = "250ms", then = "reject" }
adaptive = { least = 2, most = 64 }
"#;

/// The options of a handler under the configuration that a text gives it.
fn configured(text: &str, before: &Options) -> Options {
    let expected = Expected {
        engine: "memory:",
        orders: false,
        token: false,
        subscriptions: &|_| vec!["everything".to_owned()],
    };
    let (mut reader, root) = Reader::new(None, text, []);
    let config = read(&mut reader, root, &expected);
    let issues = reader.finish();
    assert!(issues.is_empty(), "{}", Invalid(issues));
    let mut options = before.clone();
    for (_, numbers) in &config.subscriptions {
        numbers.set(&mut options);
    }
    options
}

#[test]
fn every_option_is_the_same_in_code_attribute_and_configuration() {
    let secs = Duration::from_secs;
    let code = everything_in_code
        .concurrency(8)
        .order(Order::Any)
        .from(Start::Earliest)
        .timeout(secs(15))
        .after_dead_letter(AfterDeadLetter::Continue)
        .retry_budget(RetryBudget {
            share: 0.2,
            per_second: 3.0,
        })
        .crashes(5)
        .breaker(Breaker {
            failures: 5,
            share: 0.25,
            probe: secs(60),
        })
        .batch(7, Duration::from_millis(20))
        .limit("tenantid", 2)
        .throttle(10, secs(60))
        .rate_limit(5, secs(3_600))
        .debounce("tenantid", secs(2), secs(30))
        .singleton("tenantid", While::Cancel)
        .fair("tenantid", [("gold", 3), ("tin", 1)])
        .shed(Duration::from_millis(250), Shedding::Reject)
        .adaptive(2, 64)
        .with(|options| {
            options.causation_depth = 3;
            options.retry = Retry {
                attempts: 2,
                first: secs(1),
                factor: 2.0,
                max: secs(300),
            };
            options.batch_bytes = 4_096;
            options.batch_by = Some(By::from("tenantid"));
            options.rate_limit.get_or_insert_default().by = Some(By::KEY);
        });
    let code = code.options().settings();
    let [attribute] = handlers![everything];
    let attribute = attribute.options().settings();
    let file = configured(EVERYTHING, &Options::default()).settings();
    let (default, mut off) = (Options::default().settings(), String::new());
    for setting in SETTINGS {
        let name = setting.name;
        let parts = SETTINGS
            .iter()
            .any(|other| other.name.split_once('.').is_some_and(|(g, _)| g == name));
        if parts {
            off += &format!("{name} = \"off\"\n");
            assert!(!code.contains_key(name), "{name} is on");
            continue;
        }
        let value = code
            .get(name)
            .unwrap_or_else(|| panic!("code sets no {name}"));
        assert_ne!(
            default.get(name),
            Some(value),
            "{name} is another than the default"
        );
        assert_eq!(attribute.get(name), Some(value), "{name} in the attribute");
        assert_eq!(file.get(name), Some(value), "{name} in the file");
    }
    off += "crashes = \"off\"\n";
    let text = format!("[[subscription]]\nid = \"everything\"\n[subscription.config]\n{off}");
    let [attribute] = handlers![everything];
    let none = configured(&text, attribute.options()).settings();
    for name in ["breaker", "crashes", "retrybudget"] {
        assert_eq!(none[name], "off", "{name}");
    }
    assert!(
        !none.keys().any(|name| name.starts_with("throttle")),
        "{none:?}"
    );
}

async fn everything_in_code(_: OrderPlaced) {}
