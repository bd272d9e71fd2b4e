//! An error is tried again; what can never succeed is kept as a dead letter.

use hence::{App, Attempt, Event, Failure, handler, handlers};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "mail.requested", key = to)]
struct MailRequested {
    to: String,
}

// Any error counts as "try again later": here up to four times, with growing, random waits between.
#[handler(name = "send-mail", retry = 4)]
async fn send_mail(mail: MailRequested, attempt: Attempt) -> Result<(), Failure> {
    if !mail.to.contains('@') {
        // No attempt will ever succeed, so do not try again.
        return Err(Failure::reject("not an address"));
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
    let app = App::new("mail")
        .subscribe_all(handlers![send_mail])
        .start("memory:")
        .await?;
    for to in ["ada@example.org", "nobody"] {
        app.publish(MailRequested { to: to.to_owned() })
            .until_handled()
            .await?;
    }
    // Nothing disappears: the dead letter has its bytes and its cause, and `redrive` sends it again.
    for dead in app.engine().dead_letters(None).await? {
        println!("dead letter of {}: {}", dead.subscription, dead.error);
    }
    app.drain().await;
    Ok(())
}
