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
/// | `batch_events = 50`, `batch_age = "20ms"` | the bounds of a `Batch<E>` | 100, 100 ms |
#[proc_macro_attribute]
pub fn handler(options: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(options.into(), item.into()).into()
}
