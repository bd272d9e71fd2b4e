//! Content: what goes in comes out, byte for byte, and secrets do not come out elsewhere.

use bytes::Bytes;
use hence_core::envelope::{CAUSATION, CORRELATION, KEY};
use hence_core::{Code, Commit, DeadLetterQuery, Durability, Message, Outcome, Value};

use crate::case::Need;
use crate::world::{
    Checked, TICK, World, ended, ensure, event, holding, reject, retry_after, with,
};

const SECRET: &str = "hunter2-do-not-tell";

cases! {
    exotic_data_comes_back_as_it_was [] Need::Nothing;
    exotic_data_survives_a_kill ["G1"] Need::Survival;
    g18_trace_travels_through_retry_and_dead_letter ["G18"] Need::Nothing;
    g18_trace_survives_a_kill ["G18"] Need::Survival;
    g20_errors_do_not_tell_the_data ["G20"] Need::Nothing;
}

/// Messages at the edges of what a message may be.
fn exotic() -> Vec<Message> {
    let noise: Vec<u8> = (0..200 << 10)
        .map(|n: u32| n.wrapping_mul(2_654_435_761) as u8)
        .collect();
    let data = |id, data: Option<&'static [u8]>| holding(&event(id), data.map(Bytes::from_static));
    let mut all = vec![
        data("no-data", None),
        data("empty-data", Some(b"")),
        data("zero-byte", Some(b"\0")),
        data("broken-utf8", Some(b"\xff\xfe\x80{\"")),
        data("newlines", Some(b"\r\n\r\n\n")),
        data("unicode", Some("żółć 🦀 العربية \u{202e}".as_bytes())),
        holding(&event("200-kib"), Some(Bytes::from(noise))),
        event("идентификатор/с пробелом?#%00🦀"),
        event(&"long-id-".repeat(100)),
    ];
    let mut full = with(
        event("all-attributes"),
        "subject",
        "über/subject with spaces",
    );
    for (name, value) in [
        ("time", "2026-11-20T10:00:00.123456789+05:30"),
        ("datacontenttype", "application/octet-stream; x=\"y\""),
        ("dataschema", "urn:schema:1"),
        ("tenant", "β"),
        ("emptytext", ""),
        (KEY, "key/with 🦀 and spaces"),
    ] {
        full = with(full, name, value);
    }
    full = with(full, "flag", Value::Boolean(true));
    full = with(full, "unset", Value::Boolean(false));
    full = with(full, "least", Value::Integer(i32::MIN));
    full = with(full, "most", Value::Integer(i32::MAX));
    for number in 0..40 {
        full = with(
            full,
            &format!("extension{number}"),
            format!("value {number}"),
        );
    }
    all.push(with(full.clone(), "text", "true"));
    all
}

/// Reads the exotic messages in every way there is.
async fn comes_back(world: &World<'_>) -> Checked {
    let wanted = exotic();
    let stored = world.read_all().await?;
    ensure!(
        stored.len() == wanted.len(),
        "{} of {} are stored",
        stored.len(),
        wanted.len()
    );
    let mut attached = world.attach("exotic", &[TICK]).await?;
    let deliveries = world.pull(&mut attached, wanted.len()).await?;
    for ((entry, delivery), message) in stored.iter().zip(&deliveries).zip(&wanted) {
        let id = message.attributes().id();
        ensure!(entry.message == *message, "a reader gets '{id}' changed");
        ensure!(
            delivery.message == *message,
            "a subscription gets '{id}' changed"
        );
        ensure!(
            delivery.appended == entry.appended,
            "'{id}' was taken at two moments"
        );
        let got = world
            .within("get", world.engine().get(entry.position))
            .await??;
        ensure!(got.message == *message, "get gives '{id}' changed");
    }
    Ok(())
}

async fn exotic_data_comes_back_as_it_was(world: World<'_>) -> Checked {
    world.publish(exotic()).await?;
    comes_back(&world).await
}

async fn exotic_data_survives_a_kill(world: World<'_>) -> Checked {
    world.publish(exotic()).await?;
    comes_back(&world.killed().await?).await
}

fn traced() -> Message {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let message = with(event("traced"), "traceparent", parent);
    let message = with(message, "tracestate", "a=1,b=2");
    let message = with(message, CAUSATION, "cause-1");
    with(message, CORRELATION, "first-1")
}

async fn g18_trace_travels_through_retry_and_dead_letter(world: World<'_>) -> Checked {
    through_all(world, false).await
}

async fn g18_trace_survives_a_kill(world: World<'_>) -> Checked {
    through_all(world, true).await
}

/// A traced event on its way through delivery, retry, dead letter and redrive.
async fn through_all(mut world: World<'_>, kill: bool) -> Checked {
    const NAME: &str = "traced";
    world.publish_one(traced()).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let first = world.pull_one(&mut attached).await?;
    ensure!(
        first.message == traced(),
        "the delivery has other attributes"
    );
    world
        .settle(NAME, &first, retry_after(std::time::Duration::ZERO).0)
        .await?;
    drop(attached);
    if kill {
        world = world.killed().await?;
    }
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let second = world.pull_one(&mut attached).await?;
    ensure!(
        second.message == traced(),
        "the retried delivery has other attributes"
    );
    world.settle(NAME, &second, reject("broken", true)).await?;
    drop(attached);
    if kill {
        world = world.killed().await?;
    }
    let letters = world
        .within(
            "dead letters",
            world.engine().dead_letters(&DeadLetterQuery::default()),
        )
        .await??;
    let mut kept = true;
    for letter in &letters {
        kept &= world.engine().dead_letter(&letter.id).await?.1 == traced();
    }
    ensure!(
        letters.len() == 1 && kept,
        "the dead letter has other attributes: {letters:?}"
    );
    let letter_ids: Vec<_> = letters.iter().map(|letter| letter.id.as_str()).collect();
    world.redrive(&letter_ids).await?;
    let mut attached = world.attach(NAME, &[TICK]).await?;
    let third = world.pull_one(&mut attached).await?;
    ensure!(
        third.message == traced(),
        "the redriven delivery has other attributes"
    );
    let follow = with(event("follows"), CAUSATION, "traced");
    let follow = with(follow, CORRELATION, "first-1");
    let settle = vec![ended(NAME, &third, Outcome::Done)];
    world
        .commit(world.step(settle, vec![follow.clone()]))
        .await?;
    let next = world.pull_one(&mut attached).await?;
    ensure!(
        next.message == follow,
        "the emitted event has other attributes"
    );
    Ok(())
}

async fn g20_errors_do_not_tell_the_data(world: World<'_>) -> Checked {
    let data = |text: String| Some(Bytes::from(text));
    let secret = holding(
        &event("secret"),
        data(format!("{{\"password\":\"{SECRET}\"}}")),
    );
    let secret = with(secret, "token", SECRET);
    world.publish_one(secret.clone()).await?;
    let level = world.level();
    let mut errors = Vec::new();
    let other = holding(&secret, data(format!("{{\"password\":\"{SECRET}!\"}}")));
    errors.push(
        world
            .refused(Commit::publish(vec![other], level), Code::DUPLICATE)
            .await?,
    );
    let limit = world.engine().capability().event_bytes_max;
    if limit < 16 << 20 {
        let large = holding(
            &event("large"),
            data(SECRET.repeat(limit / SECRET.len() + 1)),
        );
        errors.push(
            world
                .refused(Commit::publish(vec![large], level), Code::TOO_LARGE)
                .await?,
        );
    }
    for undeclared in [
        Durability::Accepted,
        Durability::Written,
        Durability::Synced,
    ] {
        if !world.engine().capability().durability.contains(&undeclared) {
            let commit = Commit::publish(
                vec![holding(&event("level"), data(SECRET.into()))],
                undeclared,
            );
            errors.push(world.refused(commit, Code::DURABILITY).await?);
        }
    }
    for error in errors {
        let told = format!("{error} {error:?}").contains(SECRET);
        ensure!(
            !told,
            "an error with the code {} tells the data of the event",
            error.code()
        );
    }
    Ok(())
}
