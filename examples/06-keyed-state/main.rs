//! A value and a timer for each key: a basket that is filled, paid, or forgotten.

use std::time::Duration;

use hence::{App, Event, Events, Failure, Keyed, Timer};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "basket.filled", key = basket)]
struct Filled {
    basket: String,
    item: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "basket.paid", key = basket)]
struct Paid {
    basket: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "basket.forgotten", key = basket)]
struct Forgotten {
    basket: String,
}

// All events about a basket go to one subscription, because a value belongs to a subscription and a key.
#[derive(Events)]
enum About {
    Filled(Filled),
    Paid(Paid),
    Forgotten(Forgotten),
}

async fn basket(
    about: About,
    mut items: Keyed<Vec<String>>,
    reminder: Timer<Forgotten>,
) -> Result<(), Failure> {
    match about {
        About::Filled(Filled { basket, item }) => {
            items.push(item);
            println!("{basket} has {}", items.join(", "));
            // Setting it again replaces it, so the time counts from the last item.
            reminder.after(Duration::from_millis(50), Forgotten { basket })?;
        }
        About::Paid(Paid { basket }) => {
            println!("{basket} is paid, with {} items", items.len());
            reminder.cancel();
            Keyed::remove(&mut items);
        }
        About::Forgotten(Forgotten { basket }) => {
            println!("{basket} is forgotten, with {}", items.join(", "));
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> hence::Result<()> {
    let app = App::new("shop").subscribe("basket", basket);
    let app = app.start("memory:").await?;
    for (basket, item) in [("anna", "tea"), ("anna", "milk"), ("ben", "bread")] {
        let (basket, item) = (basket.to_owned(), item.to_owned());
        app.publish(Filled { basket, item }).until_handled().await?;
    }
    let basket = "anna".to_owned();
    app.publish(Paid { basket }).until_handled().await?;
    let forgotten = hence::core::Read {
        follow: true,
        filter: hence::core::Filter {
            types: vec![Forgotten::TYPE.to_owned()],
            ..Default::default()
        },
        ..Default::default()
    };
    let found = app.read(forgotten).await?.next(1).await?;
    for entry in found {
        app.engine().settled(entry.position).await?;
    }
    Ok(())
}
