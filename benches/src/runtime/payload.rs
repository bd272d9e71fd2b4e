//! What travels: an order of 310 bytes of JSON, one of two numbers, and bytes that nobody decodes.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use hence::Event;
use hence::core::event::EventType;
use hence::core::extract::{Input, Undecodable, only};
use hence::core::{Attributes, Delivery, Message};
use ruststream::memory::prelude::Outgoing;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// What every publisher here says it is.
pub(super) const SOURCE: &str = "/bench";

/// Eight fields and two items.
#[derive(Clone, Event, Serialize, Deserialize, Outgoing)]
#[event(type = "bench.order")]
#[outgoing(name = "orders")]
pub(super) struct Order {
    id: u64,
    customer: String,
    email: String,
    currency: String,
    total: f64,
    paid: bool,
    note: String,
    lines: Vec<Line>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: u32,
    price: f64,
}

impl Order {
    pub(super) fn new() -> Self {
        let line = |sku: &str, quantity| Line {
            sku: sku.to_owned(),
            quantity,
            price: 19.95,
        };
        Self {
            id: 1_000_000,
            customer: "Ada Lovelace of London".to_owned(),
            email: "ada.lovelace@example.org".to_owned(),
            currency: "EUR".to_owned(),
            total: 59.85,
            paid: true,
            note: "please ring twice and leave it with the neighbours if nobody opens".to_owned(),
            lines: vec![line("SKU-000-4711", 2), line("SKU-000-0815", 1)],
        }
    }
}

/// Two numbers.
#[derive(Clone, Copy, Event, Serialize, Deserialize)]
#[event(type = "bench.small")]
pub(super) struct Small {
    id: u64,
    quantity: u32,
}

impl Small {
    pub(super) fn new() -> Self {
        Self {
            id: 1_000_000,
            quantity: 37,
        }
    }
}

/// Bytes as they came.
pub(super) struct Raw;

impl Raw {
    pub(super) const TYPE: &'static str = "bench.raw";
}

impl Input for Raw {
    fn types(types: &mut Vec<EventType>) {
        types.push(EventType {
            name: Self::TYPE,
            keyed: false,
            key_of: |_, _| Ok(None),
        });
    }

    fn decode(deliveries: &[Delivery]) -> Result<Self, Undecodable> {
        let data = only(deliveries)?.message.data();
        std::hint::black_box(data.and_then(|data| data.first()));
        Ok(Self)
    }
}

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Payload {
    Bytes,
    Small,
    Json,
}

impl Payload {
    /// The bytes that travel.
    pub(super) fn bytes(self) -> Bytes {
        let json = match self {
            Self::Small => serde_json::to_vec(&Small::new()),
            Self::Bytes | Self::Json => serde_json::to_vec(&Order::new()),
        };
        json.unwrap_or_default().into()
    }

    pub(super) fn event_type(self) -> &'static str {
        match self {
            Self::Bytes => Raw::TYPE,
            Self::Small => Small::TYPE,
            Self::Json => Order::TYPE,
        }
    }

    /// Decodes, as a handler of a bare channel would; whether it could.
    pub(super) fn decode(self, bytes: &[u8]) -> bool {
        match self {
            Self::Bytes => std::hint::black_box(bytes.first()).is_some(),
            Self::Small => serde_json::from_slice::<Small>(bytes).is_ok(),
            Self::Json => serde_json::from_slice::<Order>(bytes).is_ok(),
        }
    }

    /// A message of these bytes.
    pub(super) fn message(self, number: usize, data: &Bytes) -> anyhow::Result<Message> {
        let id = number.to_string();
        let attributes = Attributes::new(id, SOURCE, self.event_type())?;
        Ok(Message::new(attributes, Some(data.clone())))
    }
}

/// What all handlers count into; one benchmark runs at a time.
pub(super) struct Count {
    seen: AtomicUsize,
    wanted: AtomicUsize,
    all: Notify,
}

pub(super) static COUNT: Count = Count {
    seen: AtomicUsize::new(0),
    wanted: AtomicUsize::new(0),
    all: Notify::const_new(),
};

impl Count {
    pub(super) fn begin(&self, wanted: usize) {
        self.seen.store(0, Relaxed);
        self.wanted.store(wanted, Relaxed);
    }

    pub(super) fn add(&self) {
        if self.seen.fetch_add(1, Relaxed) + 1 == self.wanted.load(Relaxed) {
            self.all.notify_one();
        }
    }

    pub(super) async fn all(&self) {
        self.all.notified().await;
    }
}
