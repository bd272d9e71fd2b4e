//! The steps of an order: what follows from each event.

use hence::{Events, Failure, State, handler};

use crate::event::{
    CardCharged, CardDeclined, OrderCancelled, OrderCompleted, OrderPlaced, StockRefused,
    StockReleased, StockReserved,
};
use crate::payments::{Payment, Payments};
use crate::stock::{Reservation, Stock};

/// What follows when the stock was asked.
#[derive(Clone, Debug, PartialEq, Events)]
pub enum Asked {
    /// It holds everything.
    Reserved(StockReserved),
    /// It does not.
    Refused(StockRefused),
}

/// Asks the stock for what was ordered.
///
/// # Errors
/// An order that can never be right is rejected, and becomes a dead letter without another attempt.
/// That the stock does not answer is worth another attempt: `?` is enough.
#[handler(name = "reserve-stock")]
pub async fn reserve_stock(order: OrderPlaced, stock: State<Stock>) -> Result<Asked, Failure> {
    let OrderPlaced {
        order_id,
        amount,
        items,
    } = order;
    if amount < 0.0 {
        let text = format!("the amount of an order cannot be negative: {amount}");
        return Err(Failure::reject(text));
    }
    Ok(match stock.reserve(&order_id, &items)? {
        Reservation::Held => Asked::Reserved(StockReserved { order_id, amount }),
        Reservation::OutOfStock { sku } => Asked::Refused(StockRefused { order_id, sku }),
    })
}

/// What follows when the card was charged.
#[derive(Clone, Debug, PartialEq, Events)]
pub enum Charged {
    /// It has paid.
    Yes(CardCharged),
    /// It has not.
    No(CardDeclined),
}

/// Charges the card, once the stock holds everything.
#[handler(name = "charge-card", timeout = "10s")]
pub async fn charge_card(stock: StockReserved, payments: State<Payments>) -> Charged {
    let StockReserved { order_id, amount } = stock;
    match payments.charge(&order_id, amount) {
        Payment::Charged(amount) => Charged::Yes(CardCharged { order_id, amount }),
        Payment::Declined { limit } => {
            let reason = format!("the card pays no more than {limit}");
            Charged::No(CardDeclined { order_id, reason })
        }
    }
}

/// Completes an order that is paid.
#[handler(name = "complete-order")]
pub async fn complete_order(card: CardCharged) -> OrderCompleted {
    let CardCharged { order_id, .. } = card;
    OrderCompleted { order_id }
}

/// Undoes the reservation of an order that is not paid: the compensation.
#[handler(name = "release-stock")]
pub async fn release_stock(card: CardDeclined, stock: State<Stock>) -> StockReleased {
    let CardDeclined { order_id, reason } = card;
    stock.release(&order_id);
    StockReleased { order_id, reason }
}

/// Why an order comes to nothing: the stock has it not, or has it back.
#[derive(Clone, Debug, PartialEq, Events)]
pub enum Hopeless {
    /// Something is out of stock.
    Refused(StockRefused),
    /// The card did not pay, and the stock is free again.
    Released(StockReleased),
}

/// Cancels an order for which nothing is held any more.
#[handler(name = "cancel-order")]
pub async fn cancel_order(order: Hopeless) -> OrderCancelled {
    match order {
        Hopeless::Refused(StockRefused { order_id, sku }) => OrderCancelled {
            order_id,
            reason: format!("{sku} is out of stock"),
        },
        Hopeless::Released(StockReleased { order_id, reason }) => {
            OrderCancelled { order_id, reason }
        }
    }
}
