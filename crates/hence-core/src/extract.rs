//! `Input` and `Extract`: what a handler's arguments are made of.
//!
//! The first argument is the [`Input`]: it says which events the handler takes. Every further
//! argument is an [`Extract`], which only borrows the call, so their order does not matter.

mod keyed;
mod timer;

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use crate::delivery::{Delivery, Failure, Position};
use crate::emit::{Effects, IntoEvents};
use crate::envelope::Envelope;
use crate::error::{Code, Error, Result};
use crate::event::{Event, EventType};
use crate::handler::Signature;

pub use keyed::Keyed;
pub use timer::Timer;

/// One call of a handler: the deliveries that it is for, and what its arguments may ask for.
#[derive(Debug)]
pub struct Call {
    subscription: Arc<str>,
    deliveries: Handed,
    states: Arc<States>,
    /// The value of its key, if it was looked up.
    value: Option<Option<Bytes>>,
    effects: OnceLock<Arc<Mutex<Effects>>>,
    replay: Option<Arc<str>>,
}

/// Almost every call is for one delivery, which needs no list.
#[derive(Debug)]
enum Handed {
    One(Delivery),
    Several(Vec<Delivery>),
}

impl Call {
    /// A call for these deliveries: one, or several for a batch handler, never none.
    #[must_use]
    pub fn new(subscription: Arc<str>, deliveries: &[Delivery], states: Arc<States>) -> Self {
        let deliveries = match deliveries {
            [one] => Handed::One(one.clone()),
            several => Handed::Several(several.to_vec()),
        };
        Self {
            subscription,
            deliveries,
            states,
            value: None,
            effects: OnceLock::new(),
            replay: None,
        }
    }

    /// The same call with the value that its key has now.
    #[must_use]
    pub fn with_value(self, value: Option<Bytes>) -> Self {
        Self {
            value: Some(value),
            ..self
        }
    }

    /// The same call, as a part of a replay.
    #[must_use]
    pub fn with_replay(mut self, id: &str) -> Self {
        self.replay = Some(id.into());
        self
    }

    /// The id of the replay that it is a part of; `None` for a delivery.
    #[must_use]
    pub fn replay(&self) -> Option<&str> {
        self.replay.as_deref()
    }

    /// The key of what is to be handled, if it has one: that of the first delivery.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.deliveries().first()?.message.attributes().key()
    }

    /// The name of the subscription.
    #[must_use]
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// What is to be handled; more than one only for a batch handler.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        match &self.deliveries {
            Handed::One(one) => std::slice::from_ref(one),
            Handed::Several(several) => several,
        }
    }

    fn effects(&self) -> &Arc<Mutex<Effects>> {
        self.effects.get_or_init(Arc::default)
    }

    /// The key, which an argument needs.
    fn needs_key(&self, argument: &str) -> Result<&str, Failure> {
        self.key().ok_or_else(|| {
            Failure::reject(Code::KEYED_STATE.error(format!(
                "'{}' takes {argument}, and the event has no key",
                self.subscription
            )))
        })
    }
}

/// The shared dependencies of an application, by type.
#[derive(Default)]
pub struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    /// Adds a dependency; an earlier one of the same type is given back.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<Arc<T>> {
        let before = self.0.insert(TypeId::of::<T>(), Arc::new(value));
        before.and_then(|before| before.downcast().ok())
    }

    /// The dependency of a type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0
            .get(&TypeId::of::<T>())
            .and_then(|state| Arc::clone(state).downcast().ok())
    }

    /// Whether there is one of this type.
    #[must_use]
    pub fn contains(&self, id: TypeId) -> bool {
        self.0.contains_key(&id)
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

/// The bytes of a delivery do not decode into what the handler takes.
#[derive(Debug)]
pub struct Undecodable {
    /// Which delivery of the call.
    pub position: Position,
    /// Why not.
    pub error: Error,
}

/// The first argument of a handler: an event, an [`Envelope`], a [`Batch`], or an enum of events
/// with `#[derive(Events)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the first argument of a handler",
    label = "not an event",
    note = "the first argument says which events the handler takes: an event, `Envelope<E>`, \
            `Batch<E>`, or an enum with `#[derive(Events)]`",
    note = "an event is a type with `#[derive(Event, Serialize, Deserialize)]` and \
            `#[event(type = \"…\")]`"
)]
pub trait Input: Sized + Send + 'static {
    /// Whether one call takes several deliveries.
    const BATCH: bool = false;

    /// Lists the types of events that it takes.
    fn types(types: &mut Vec<EventType>);

    /// Decodes the deliveries of a call: exactly one, unless [`Input::BATCH`].
    ///
    /// # Errors
    /// The first delivery that does not decode.
    fn decode(deliveries: &[Delivery]) -> Result<Self, Undecodable>;
}

/// The one delivery of a call that is no batch.
///
/// # Errors
/// `HN0901` when there is none; the runtime never makes such a call.
pub fn only(deliveries: &[Delivery]) -> Result<&Delivery, Undecodable> {
    deliveries.first().ok_or_else(|| Undecodable {
        position: Position::default(),
        error: Code::INTERNAL.error("a call without a delivery"),
    })
}

impl<E: Event> Input for E {
    fn types(types: &mut Vec<EventType>) {
        types.push(EventType::of::<E>());
    }

    fn decode(deliveries: &[Delivery]) -> Result<Self, Undecodable> {
        let delivery = only(deliveries)?;
        let position = delivery.position;
        delivery
            .decode()
            .map_err(|error| Undecodable { position, error })
    }
}

impl<E: Event> Input for Envelope<E> {
    fn types(types: &mut Vec<EventType>) {
        types.push(EventType::of::<E>());
    }

    fn decode(deliveries: &[Delivery]) -> Result<Self, Undecodable> {
        let delivery = only(deliveries)?;
        let data = E::decode(deliveries)?;
        let attributes = delivery.message.attributes().clone();
        Ok(Self { attributes, data })
    }
}

/// Several events in one call, in their order; all of them settle together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<E>(pub Vec<E>);

impl<E: Event> Input for Batch<E> {
    const BATCH: bool = true;

    fn types(types: &mut Vec<EventType>) {
        types.push(EventType::of::<E>());
    }

    fn decode(deliveries: &[Delivery]) -> Result<Self, Undecodable> {
        let decode = |delivery: &Delivery| {
            let position = delivery.position;
            delivery
                .decode()
                .map_err(|error| Undecodable { position, error })
        };
        deliveries
            .iter()
            .map(decode)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<E> Deref for Batch<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.0
    }
}

impl<E> IntoIterator for Batch<E> {
    type Item = E;
    type IntoIter = std::vec::IntoIter<E>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A further argument of a handler: something that it needs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "a handler cannot ask for this",
    note = "for a dependency of yours, ask for `State<{Self}>` and give it with `App::state`",
    note = "what else may follow the first argument: `Publisher<E>`, `Keyed<T>`, `Timer<E>`, \
            `Attempt`, `Key`"
)]
pub trait Extract: Sized + Send + 'static {
    /// Says what it needs and what may be published through it, before any event flows.
    fn describe(_signature: &mut Signature) {}

    /// Takes it from the call.
    ///
    /// # Errors
    /// A failure counts as a failure of the handler.
    fn extract(call: &Call) -> Result<Self, Failure>;
}

/// A dependency that handlers share, given once with `App::state`.
pub struct State<T>(Arc<T>);

impl<T> State<T> {
    /// Wraps a dependency, to call a handler directly, as in a unit test.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Extract for State<T> {
    fn describe(signature: &mut Signature) {
        signature.needs.push((TypeId::of::<T>(), type_name::<T>()));
    }

    fn extract(call: &Call) -> Result<Self, Failure> {
        let missing = || Code::WIRING.error(format!("no State<{}> was given", type_name::<T>()));
        Ok(Self(call.states.get::<T>().ok_or_else(missing)?))
    }
}

/// Which attempt this is; the first is 1, and so is the first after a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u32);

impl Extract for Attempt {
    fn extract(call: &Call) -> Result<Self, Failure> {
        Ok(Self(
            call.deliveries()
                .iter()
                .map(Delivery::turn)
                .max()
                .unwrap_or(1),
        ))
    }
}

/// The id of the replay that brings the event; `None` when it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay(pub Option<Arc<str>>);

impl Extract for Replay {
    fn extract(call: &Call) -> Result<Self, Failure> {
        Ok(Self(call.replay.clone()))
    }
}

/// The ordering key of the event, if it has one (of the first event, in a batch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(pub Option<String>);

impl Extract for Key {
    fn extract(call: &Call) -> Result<Self, Failure> {
        Ok(Self(call.key().map(str::to_owned)))
    }
}

/// Publishes events from within a handler, with its commit: when the handler fails, they were
/// never published.
pub struct Publisher<E> {
    effects: Arc<Mutex<Effects>>,
    events: std::marker::PhantomData<fn(E)>,
}

impl<E: IntoEvents> Publisher<E> {
    /// Publishes once the handler is done, in the order of the calls, before what it returns.
    ///
    /// # Errors
    /// `HN0104` when the event cannot be encoded.
    pub fn publish(&self, event: E) -> Result<()> {
        event.encode(&mut lock(&self.effects).events)
    }
}

impl<E: IntoEvents> Extract for Publisher<E> {
    fn describe(signature: &mut Signature) {
        E::types(&mut signature.emits);
    }

    fn extract(call: &Call) -> Result<Self, Failure> {
        Ok(Self {
            effects: Arc::clone(call.effects()),
            events: std::marker::PhantomData,
        })
    }
}

/// What a call has done through its arguments; it outlives the call, whose deliveries are not needed
/// while the function runs.
#[derive(Debug)]
pub struct Published(Option<Arc<Mutex<Effects>>>);

impl Published {
    /// Gives up the call, once every argument is extracted.
    #[must_use]
    pub fn of(call: Call) -> Self {
        Self(call.effects.into_inner())
    }

    /// What was done: events in the order in which they were published, before what the function
    /// returns.
    pub fn take(self) -> Effects {
        let effects = self.0.as_ref();
        effects.map_or_else(Effects::default, |done| std::mem::take(&mut *lock(done)))
    }
}

fn lock(effects: &Mutex<Effects>) -> MutexGuard<'_, Effects> {
    effects.lock().unwrap_or_else(PoisonError::into_inner)
}
