//! The derives and attributes of Hence. Applications reach them through the crate `hence`, to which
//! the code that they write refers as `::hence`; there they stand with examples.

mod event;
mod events;
mod handler;
mod option;

use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

/// Makes a struct (or an enum as a whole) an event: a fact with a stable type name.
///
/// | `#[event(…)]` | It is |
/// |---|---|
/// | `type = "order.placed"` | the CloudEvents `type`. It must be there, written out, so that renaming the struct changes nothing that is stored; `hence.…` is reserved |
/// | `key = order_id` | the field that orders events: those with the same key are handled one after the other. A field of a field is good, too: `customer.id`. Its text counts, so it may be a `String`, an integer, or anything with `Display` |
/// | `version = 2` | the version of the data, 1 unless it says so. It is carried as the attribute `dataversion`; an event without that attribute is of version 1 |
/// | `upcasts = OrderPlacedV1` | the version before, an event of the same type with an `impl From<OrderPlacedV1>` here. Its data is brought to this version when it is read, dead letters that are redriven included |
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let tokens = event::derive(&input);
    tokens.unwrap_or_else(Error::into_compile_error).into()
}

/// Makes an enum of events something that a handler takes, or returns.
///
/// Each variant holds one event, and no two hold events of the same type. A handler that takes the
/// enum gets every event of these types; a handler that returns it publishes the one inside.
#[proc_macro_derive(Events)]
pub fn derive_events(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let tokens = events::derive(&input);
    tokens.unwrap_or_else(Error::into_compile_error).into()
}

/// Gives an async function the name and the numbers of its subscription, and lets the compiler
/// check each of its arguments where it stands.
///
/// The function stays as it is, to be called in a test like any other. Nothing registers itself:
/// `app.subscribe_all(handlers![reserve_stock])` lists it. Beside the function stands a type of the
/// same name, so a module of that name would collide with it.
///
/// | Option | It is | Default |
/// |---|---|---|
/// | `name = "reserve-stock"` | the durable name of the subscription | must be there |
/// | `retry = 5` | attempts in all, the first included | 8 |
/// | `timeout = "10s"` | how long one attempt may take: `ms`, `s`, `m`, `h` | 30 s |
/// | `concurrency = 4` | deliveries that are handled at a time | 32 |
/// | `order = "fifo"` | `per-key`, `fifo`, `any`, `lifo`, `adaptive-lifo`, `priority`, `priority-auto` or `deadline` | `per-key` |
/// | `after = "reserve-stock"` | other subscriptions that must have handled an event first | none |
/// | `from = "earliest"` | where it begins when it is new: `latest` or `earliest` | `latest` |
/// | `after_dead_letter = "continue"` | later events of the key `hold` or `continue` | `hold` |
/// | `crashes = 5` | crashes in a row at which an event is seen before it is a dead letter, or `"off"` | 3 |
/// | `retry(attempts = 5, first = "1s", factor = 2, max = "1m")` | attempts and the waits between them | 8, 200 ms, 3, 1 min |
/// | `retry_budget(share = 0.1, per_second = 10)` | retries beyond which they wait longer, or `"off"` | as shown |
/// | `breaker(failures = 10, share = 0.5, probe = "30s")` | when a storm of failures stops it, or `"off"` | as shown |
/// | `batch(events = 50, bytes = 65536, age = "20ms", by = "key")` | the bounds of a `Batch<E>` | 100, 1 MiB, 100 ms, any |
/// | `limit(by = "tenantid", most = 2)` | calls at a time for each value of an attribute | none |
/// | `throttle(calls = 10, per = "1s")` | calls within a while; others wait | none |
/// | `rate_limit(events = 10, per = "1s", by = "key")` | events within a while; others are skipped | none |
/// | `debounce(by = "key", quiet = "1s", most = "1m")` | only the last of a burst is handled | none |
/// | `singleton(by = "key", then = "skip")` | one of a group at a time; others are skipped, or `cancel` it | none |
/// | `fair(by = "tenantid", weights = "gold=3")` | whose turn it is | none |
/// | `shed(wait = "1s", then = "later")` | the less urgent go `later`, or `reject`, while events wait too long | none |
/// | `adaptive(least = 1, most = 256)` | seeks the number of calls at a time | none |
#[proc_macro_attribute]
pub fn handler(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(options.into(), item.into()).into()
}
