//! Versions of data: an old one is brought to the newest when it is read, dead letters included.

use std::sync::atomic::{AtomicBool, Ordering};

use hence::core::{Attributes, Message, RejectReason};
use hence::{App, Batch, Event, Failure, State};
use serde::{Deserialize, Serialize};

use crate::kit::{Seen, letters, limited, log, memory, on_both_engines};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "test.priced", key = id)]
struct PricedV1 {
    id: String,
    euros: u64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "test.priced", key = id, version = 2, upcasts = PricedV1)]
struct PricedV2 {
    id: String,
    cents: u64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "test.priced", key = item, version = 3, upcasts = PricedV2)]
struct Priced {
    item: String,
    cents: u64,
    currency: String,
}

impl From<PricedV1> for PricedV2 {
    fn from(old: PricedV1) -> Self {
        Self {
            id: old.id,
            cents: old.euros * 100,
        }
    }
}

impl From<PricedV2> for Priced {
    fn from(old: PricedV2) -> Self {
        Self {
            item: old.id,
            cents: old.cents,
            currency: "EUR".to_owned(),
        }
    }
}

async fn see(priced: Priced, seen: State<Seen>) {
    assert_eq!(priced.currency, "EUR");
    seen.add(&priced.item, priced.cents);
}

async fn see_all(priced: Batch<Priced>, seen: State<Seen>) {
    for priced in priced {
        seen.add(&priced.item, priced.cents);
    }
}

/// The handler of the time of version 1, which cannot reach the shop.
async fn see_v1(_: PricedV1) -> Result<(), Failure> {
    Err(Failure::reject("the shop is closed"))
}

fn v1(euros: u64) -> PricedV1 {
    PricedV1 {
        id: "k".to_owned(),
        euros,
    }
}

on_both_engines! {
    async fn a_handler_of_the_newest_version_takes_them_all_in_order(place: Place) {
        for batch in [false, true] {
            let seen = Seen::default();
            let app = App::new("test").state(seen.clone());
            let app = match batch {
                true => app.subscribe("batch", see_all),
                false => app.subscribe("see", see),
            };
            let running = place.start(app).await;
            running.publish(v1(1)).await.unwrap();
            running.publish(PricedV2 { id: "k".to_owned(), cents: 250 }).await.unwrap();
            let (item, currency) = ("k".to_owned(), "EUR".to_owned());
            running.publish(Priced { item, cents: 399, currency }).await.unwrap();
            seen.reach(3).await;
            assert_eq!(seen.numbers(), [100, 250, 399]);
            running.drain().await;
        }
    }

    async fn a_version_from_the_future_is_a_dead_letter(place: Place) {
        let running = place.start(App::new("test").subscribe("v1", see_v1)).await;
        let mut attributes = Attributes::new("1", "/test", "test.priced").unwrap();
        attributes.set("dataversion", "4").unwrap();
        let message = Message::new(attributes, Some("{\"id\":\"k\",\"euros\":1}".into()));
        running.commit(vec![message], running.durability()).await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        assert_eq!(letter.reason, RejectReason::Undecodable);
        assert!(letter.error.contains("version 4"), "{}", letter.error);
    }
}

#[test]
fn the_version_is_an_attribute_unless_it_is_the_first() {
    let data = br#"{"id":"k","euros":2}"#;
    for (version, decodes) in [
        (None, true),
        (Some("1"), true),
        (Some("two"), false),
        (Some("2"), false),
    ] {
        let mut attributes = Attributes::new("1", "/test", "test.priced").unwrap();
        if let Some(version) = version {
            attributes.set("dataversion", version).unwrap();
        }
        let message = Message::new(attributes, Some(data.to_vec().into()));
        assert_eq!(message.decode::<PricedV1>().is_ok(), decodes, "{version:?}");
        let newest = message.decode::<Priced>();
        assert_eq!(
            newest.is_ok_and(|priced| priced.cents == 200),
            decodes,
            "{version:?}"
        );
    }
}

/// Axon #2500: old events are brought to a new version, and those among the dead letters are not.
#[tokio::test]
async fn axon_2500_a_dead_letter_of_an_old_version_is_upcast_when_it_is_redriven() {
    limited("a_dead_letter_of_an_old_version_is_upcast", async {
        let place = log();
        let running = place
            .start(App::new("test").subscribe("price", see_v1))
            .await;
        running.publish(v1(7)).await.unwrap();
        running.publish(v1(8)).await.unwrap();
        let letter = letters(&running, 1).await.remove(0);
        running.drain().await;

        // The program of today, under the same name, on the same log.
        let seen = Seen::default();
        let app = App::new("test").state(seen.clone()).subscribe("price", see);
        let running = place.start(app).await;
        running.redrive(vec![letter.id]).await.unwrap();
        seen.reach(2).await;
        assert_eq!(seen.numbers(), [700, 800]);
        letters(&running, 0).await;
    })
    .await;
}

/// An edited copy keeps the version of the original.
#[tokio::test]
async fn an_edited_copy_of_an_old_version_is_checked_and_upcast() {
    limited("an_edited_copy_of_an_old_version", async {
        let place = memory();
        let (seen, open) = (Seen::default(), State::new(AtomicBool::new(false)));
        let gate = open.clone();
        let handler = move |priced: Priced, seen: State<Seen>| {
            let open = gate.load(Ordering::Relaxed);
            async move {
                if !open {
                    return Err(Failure::reject("closed"));
                }
                seen.add(&priced.item, priced.cents);
                Ok(())
            }
        };
        let app = App::new("test")
            .state(seen.clone())
            .subscribe("price", handler);
        let running = place.start(app).await;
        running.publish(v1(7)).await.unwrap();
        let id = letters(&running, 1).await.remove(0).id;
        open.store(true, Ordering::Relaxed);
        let newest = r#"{"item":"k","cents":1,"currency":"EUR"}"#;
        let error = running
            .redrive_edited(&id, newest.into())
            .await
            .unwrap_err();
        assert_eq!(error.code().as_str(), "HN0105");
        let other = r#"{"id":"other","euros":9}"#;
        let error = running.redrive_edited(&id, other.into()).await.unwrap_err();
        assert_eq!(error.code().as_str(), "HN0216");
        let copy = running
            .redrive_edited(&id, r#"{"id":"k","euros":9}"#.into())
            .await
            .unwrap();
        assert_eq!(copy.attributes().data_version(), 1);
        seen.reach(1).await;
        assert_eq!(seen.numbers(), [900]);
    })
    .await;
}
