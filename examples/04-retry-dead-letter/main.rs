//! An error is tried again; what can never succeed is kept as a dead letter.

use hence::core::DeadLetterQuery;
use hence::{App, Attempt, Event, Failure, handler, handlers};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "mail.requested", key = to)]
struct MailRequested {
    to: String,
}

// Any error means "try again later": here four attempts at most, with growing, random waits.
#[handler(name = "send-mail", retry = 4)]
async fn send_mail(mail: MailRequested, attempt: Attempt) -> Result<(), Failure> {
    if !mail.to.contains('@') {
        return Err(Failure::reject("not an address")); // no attempt would ever succeed
    }
    if attempt < Attempt(3) {
        println!("attempt {} fails", attempt.0);
        Err(std::io::Error::other("the mail server is busy"))?;
    }
    println!("attempt {} succeeds", attempt.0);
    Ok(())
}

#[tokio::main]
async fn main() -> hence::Result<()> {
    let app = App::new("mail").subscribe_all(handlers![send_mail]);
    let app = app.start("memory:").await?;
    for to in ["ada@example.org", "nobody"] {
        let mail = MailRequested { to: to.to_owned() };
        app.publish(mail).until_handled().await?;
    }
    // Nothing disappears: a dead letter has its bytes and its cause, and can be sent again.
    for dead in app.dead_letters(&DeadLetterQuery::default()).await? {
        println!("dead letter of {}: {}", dead.subscription, dead.error);
    }
    app.drain().await;
    Ok(())
}
