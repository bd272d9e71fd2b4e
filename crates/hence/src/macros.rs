//! The derives and the attribute, with their examples.

/// Derives [`trait@Event`](crate::core::Event):
///
/// ```
/// use hence::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(type = "order.placed", key = order_id)]
/// struct OrderPlaced { order_id: String, amount: f64 }
///
/// let order = OrderPlaced { order_id: "A-17".into(), amount: 99.5 };
/// assert_eq!(OrderPlaced::TYPE, "order.placed");
/// assert_eq!(order.key().as_deref(), Some("A-17"));
/// ```
pub use hence_macros::Event;
/// Derives what an enum of events needs to be taken or returned by a handler:
///
/// ```
/// use hence::{App, Event, Events};
/// use serde::{Deserialize, Serialize};
///
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "item.added", key = cart)]
/// # struct ItemAdded { cart: u64 }
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "item.removed", key = cart)]
/// # struct ItemRemoved { cart: u64 }
/// #[derive(Events)]
/// enum CartEvent { Added(ItemAdded), Removed(ItemRemoved) }
///
/// async fn count(event: CartEvent) {
///     match event {
///         CartEvent::Added(added) => println!("one more in cart {}", added.cart),
///         CartEvent::Removed(removed) => println!("one less in cart {}", removed.cart),
///     }
/// }
///
/// let app = App::new("shop").subscribe("count", count);
/// assert_eq!(app.topology().subscriptions[0].takes, ["item.added", "item.removed"]);
/// ```
pub use hence_macros::Events;
/// Binds an async function to a durable name, beside the function itself:
///
/// ```
/// use hence::{App, Event, Failure, State, handler, handlers};
/// use serde::{Deserialize, Serialize};
///
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "order.placed", key = order_id)]
/// # struct OrderPlaced { order_id: String }
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "stock.reserved", key = order_id)]
/// # struct StockReserved { order_id: String }
/// # struct Stock;
/// #[handler(name = "reserve-stock", retry = 5, timeout = "10s")]
/// async fn reserve_stock(order: OrderPlaced, stock: State<Stock>) -> Result<StockReserved, Failure> {
///     Ok(StockReserved { order_id: order.order_id })
/// }
///
/// let app = App::new("shop").state(Stock).subscribe_all(handlers![reserve_stock]);
/// assert_eq!(app.topology().subscriptions[0].attempts, 5);
/// ```
pub use hence_macros::handler;
