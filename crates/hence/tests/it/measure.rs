//! What the runtime measures of a subscription, for planning.

use hence::core::Order;
use hence::{App, Failure};

use crate::kit::{Tick, Tock, memory, tick};

async fn answer(tick: Tick) -> Result<Tock, Failure> {
    if tick.number == 7 {
        return Err(Failure::reject("seven"));
    }
    Ok(Tock {
        key: tick.key,
        number: tick.number,
    })
}

async fn note(_: Tock) {}

#[tokio::test]
async fn what_came_and_how_it_ended_is_measured() {
    let app = App::new("test")
        .subscribe("answer", answer)
        .subscribe("note", note);
    let app = app.start(&memory().url).await.unwrap();
    for number in 0..20 {
        let key = if number % 2 == 0 {
            "hot".to_owned()
        } else {
            format!("k{number}")
        };
        // A dead letter is an answer, too.
        let _ = app.publish(tick(&key, number)).until_handled().await;
    }
    let answers = app.metrics().get("answer").unwrap().measured();
    assert_eq!((answers.done, answers.failed, answers.rejected), (19, 0, 1));
    assert_eq!(answers.service.count(), 20);
    assert_eq!(answers.response.count(), 20);
    assert!(answers.response.mean() >= answers.service.mean());
    assert_eq!(answers.emitted.get("test.tock"), Some(&19));
    assert_eq!(answers.keys.events, 20);
    assert_eq!(answers.keys.top.first(), Some(&10));
    assert_eq!(answers.keys.distinct, 11);
    assert!(!answers.batched);
    // Ticks come from outside; a tock has a cause.
    assert!(answers.inflows.contains_key("test.tick"));
    let notes = app.metrics().get("note").unwrap().measured();
    assert!(notes.inflows.is_empty());
    app.drain().await;
}

#[tokio::test]
async fn what_orders_look_at_is_measured() {
    let app = App::new("test")
        .subscribe("urgent", note)
        .configure("urgent", |options| options.order = Order::Priority)
        .subscribe("calm", note);
    let app = app.start(&memory().url).await.unwrap();
    for number in 0..20 {
        let tock = Tock {
            key: "k".to_owned(),
            number,
        };
        let priority = if number < 5 { "1" } else { "0" };
        let mut publish = app.publish(tock).attribute("priority", priority);
        if number < 8 {
            publish = publish.attribute("expirytime", "2100-01-01T00:00:00Z");
        }
        publish.until_handled().await.unwrap();
    }
    let urgent = app.metrics().get("urgent").unwrap().measured();
    assert_eq!(urgent.counted, 20);
    assert_eq!(urgent.priorities, [(0, 15), (1, 5)].into());
    assert_eq!(urgent.expiry.count(), 8);
    assert!(urgent.expiry.mean() > Some(1e6), "years from now");
    let calm = app.metrics().get("calm").unwrap().measured();
    assert!(
        calm.priorities.is_empty(),
        "its order does not look at them"
    );
    app.metrics().get("calm").unwrap().measure(false);
    let tock = Tock {
        key: "k".to_owned(),
        number: 21,
    };
    app.publish(tock).until_handled().await.unwrap();
    let counted = |name| app.metrics().get(name).unwrap().measured().counted;
    assert_eq!((counted("urgent"), counted("calm")), (21, 20));
    app.drain().await;
}
