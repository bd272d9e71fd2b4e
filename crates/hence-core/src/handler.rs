//! `Handler`: an async function that reacts to events.

use std::any::TypeId;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::delivery::Failure;
use crate::emit::{Draft, Effects, IntoEvents};
use crate::event::EventType;
use crate::extract::{Call, Extract, Input, Published, Undecodable};
use crate::flow::{
    Adaptive, By, Debounce, Fair, Limit, RateLimit, Shed, Shedding, Singleton, Throttle, While,
};
use crate::subscription::{AfterDeadLetter, Breaker, Options, Order, RetryBudget, Start};

/// A future in a box, as the contracts of this crate return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a handler's signature says before any event flows.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    /// The types of events that it takes.
    pub takes: Vec<EventType>,
    /// The types of events that it may publish.
    pub emits: Vec<EventType>,
    /// The dependencies that it needs: type, and name of the type.
    pub needs: Vec<(TypeId, &'static str)>,
    /// Whether one call takes several events.
    pub batch: bool,
    /// The types of the values that it keeps for each key; there may be one.
    pub keyed: Vec<&'static str>,
    /// The types of events that it may publish later, by timers.
    pub timed: Vec<EventType>,
}

/// Why a call ended without success.
#[derive(Debug)]
pub enum Unhandled {
    /// A delivery did not decode; the handler was not called.
    Undecodable(Undecodable),
    /// The handler failed.
    Failed(Failure),
}

impl std::fmt::Display for Unhandled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Undecodable(undecodable) => undecodable.error.fmt(f),
            Self::Failed(failure) => f.write_str(&failure.describe()),
        }
    }
}

// Layers of `tower` put the error of what they wrap into a box, beside errors of their own.
impl std::error::Error for Unhandled {}

impl From<Box<dyn std::error::Error + Send + Sync>> for Unhandled {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        match error.downcast() {
            Ok(unhandled) => *unhandled,
            Err(other) => Self::Failed(Failure::retry(other)),
        }
    }
}

impl From<Failure> for Unhandled {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Undecodable> for Unhandled {
    fn from(undecodable: Undecodable) -> Self {
        Self::Undecodable(undecodable)
    }
}

/// An async function that reacts to events: `async fn(Event, what I need) -> what follows`.
///
/// It is implemented for async functions and closures of one to eight arguments. The first is an
/// [`Input`], the others are [`Extract`]s in any order, and what it returns is a [`Reply`].
#[diagnostic::on_unimplemented(
    message = "this is not a handler",
    label = "not a handler",
    note = "put `#[handler(name = \"…\")]` on the function to see which part of it does not fit",
    note = "a handler is an `async fn` of 1 to 8 arguments: first the event (`#[derive(Event)]`, \
            `Envelope<E>`, `Batch<E>` or an enum with `#[derive(Events)]`), then `State<T>`, \
            `Publisher<E>`, `Keyed<T>`, `Timer<E>`, `Attempt` or `Key`",
    note = "it returns `()`, events, or `Result` of these with an error that says what failed; \
            what it holds while it waits must be `Send`"
)]
pub trait Handler<Args>: Send + Sync + 'static {
    /// What the signature of the function says.
    fn signature(&self) -> Signature;

    /// The numbers that were set on the handler.
    fn options(&self) -> Options {
        Options::default()
    }

    /// Calls the function; gives what follows.
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Effects, Unhandled>>;
}

/// What an async function may return to be a handler: [`IntoEvents`], or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that a handler can return",
    label = "a handler cannot return this",
    note = "return `()`, an event, `Option`, `Vec` or a tuple of events, or a `Result` of these; an \
            event has `#[derive(Event)]`, an enum of events has `#[derive(Events)]`",
    note = "the error of a `Result` needs `impl std::error::Error` with `Send + Sync`; a `String`, a \
            `&'static str` and `hence::Failure` are good, too"
)]
pub trait Reply: Send + 'static {
    /// Lists the types of events that may come out.
    fn types(types: &mut Vec<EventType>);

    /// The events, or the failure.
    ///
    /// # Errors
    /// What the handler returned, or that an event cannot be encoded.
    fn reply(self, drafts: &mut Vec<Draft>) -> Result<(), Failure>;
}

impl<T: IntoEvents> Reply for T {
    fn types(types: &mut Vec<EventType>) {
        T::types(types);
    }

    fn reply(self, drafts: &mut Vec<Draft>) -> Result<(), Failure> {
        Ok(self.encode(drafts)?)
    }
}

impl<T: IntoEvents, E: Into<Failure> + Send + 'static> Reply for Result<T, E> {
    fn types(types: &mut Vec<EventType>) {
        T::types(types);
    }

    fn reply(self, drafts: &mut Vec<Draft>) -> Result<(), Failure> {
        Ok(self.map_err(Into::into)?.encode(drafts)?)
    }
}

macro_rules! handlers {
    ($($name:ident)*) => {
        #[allow(non_snake_case, reason = "the type parameters name the arguments")]
        impl<F, Fut, I, $($name,)* R> Handler<fn(I, $($name),*) -> R> for F
        where
            F: Fn(I, $($name),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            I: Input,
            $($name: Extract,)*
            R: Reply,
        {
            fn signature(&self) -> Signature {
                let mut signature = Signature { batch: I::BATCH, ..Signature::default() };
                I::types(&mut signature.takes);
                R::types(&mut signature.emits);
                $($name::describe(&mut signature);)*
                signature
            }

            fn call(&self, call: Call) -> BoxFuture<'static, Result<Effects, Unhandled>> {
                let function = self.clone();
                Box::pin(async move {
                    let input = I::decode(call.deliveries())?;
                    $(let $name = $name::extract(&call)?;)*
                    let published = Published::of(call);
                    let reply = function(input, $($name),*).await;
                    let mut effects = published.take();
                    reply.reply(&mut effects.events)?;
                    Ok(effects.complete()?)
                })
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);
handlers!(A B C D);
handlers!(A B C D G);
handlers!(A B C D G H);
handlers!(A B C D G H J);

/// A handler with its numbers: what the methods of [`HandlerExt`] return.
#[derive(Clone, Debug)]
pub struct Configured<H> {
    handler: H,
    options: Options,
}

#[diagnostic::do_not_recommend]
impl<Args: 'static, H: Handler<Args>> Handler<Args> for Configured<H> {
    fn signature(&self) -> Signature {
        self.handler.signature()
    }

    fn options(&self) -> Options {
        self.options.clone()
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Effects, Unhandled>> {
        self.handler.call(call)
    }
}

/// Numbers, set where the handler is subscribed: `charge_card.retry(5).timeout(secs(10))`.
pub trait HandlerExt<Args>: Handler<Args> + Sized {
    /// The handler with changed options.
    fn with(self, change: impl FnOnce(&mut Options)) -> Configured<Self> {
        let mut options = self.options();
        change(&mut options);
        Configured {
            handler: self,
            options,
        }
    }

    /// How many attempts there are in all.
    fn retry(self, attempts: u32) -> Configured<Self> {
        self.with(|options| options.retry.attempts = attempts)
    }

    /// How long one attempt may take.
    fn timeout(self, limit: Duration) -> Configured<Self> {
        self.with(|options| options.timeout = limit)
    }

    /// How many deliveries are handled at a time.
    fn concurrency(self, workers: usize) -> Configured<Self> {
        self.with(|options| options.concurrency = workers)
    }

    /// The order of handling.
    fn order(self, order: Order) -> Configured<Self> {
        self.with(|options| options.order = order)
    }

    /// Another subscription that must have handled an event before this one gets it.
    fn after(self, subscription: &str) -> Configured<Self> {
        self.with(|options| options.after.push(subscription.to_owned()))
    }

    /// Where a new subscription begins.
    fn from(self, start: Start) -> Configured<Self> {
        self.with(|options| options.start = start)
    }

    /// What later events of a key do behind a dead letter.
    fn after_dead_letter(self, then: AfterDeadLetter) -> Configured<Self> {
        self.with(|options| options.after_dead_letter = then)
    }

    /// When it stops because of a storm of failures; `None`: never.
    fn breaker(self, breaker: impl Into<Option<Breaker>>) -> Configured<Self> {
        let breaker = breaker.into();
        self.with(|options| options.breaker = breaker)
    }

    /// At how many crashes in a row an event is seen before it becomes a dead letter, from 1; `None`:
    /// they are not counted.
    fn crashes(self, crashes: impl Into<Option<u32>>) -> Configured<Self> {
        let crashes = crashes.into();
        self.with(|options| options.crashes = crashes)
    }

    /// How many retries it has, beyond which they wait longer; `None`: no limit.
    fn retry_budget(self, budget: impl Into<Option<RetryBudget>>) -> Configured<Self> {
        let budget = budget.into();
        self.with(|options| options.retry_budget = budget)
    }

    /// How many calls there are at a time for each value of an attribute; what is beyond waits.
    fn limit(self, by: impl Into<By>, most: usize) -> Configured<Self> {
        let by = by.into();
        self.with(|options| options.limit = Some(Limit { by, most }))
    }

    /// How many calls begin within a while at most; what comes sooner waits.
    fn throttle(self, calls: u32, per: Duration) -> Configured<Self> {
        self.with(|options| options.throttle = Some(Throttle { calls, per }))
    }

    /// How many events are handled within a while at most; what comes sooner is skipped.
    fn rate_limit(self, events: u32, per: Duration) -> Configured<Self> {
        let by = None;
        self.with(|options| options.rate_limit = Some(RateLimit { events, per, by }))
    }

    /// Of events with the same value of an attribute in quick succession only the last is handled:
    /// when for `quiet` no other came, and after `most` in any case.
    fn debounce(self, by: impl Into<By>, quiet: Duration, most: Duration) -> Configured<Self> {
        let by = by.into();
        self.with(|options| options.debounce = Some(Debounce { by, quiet, most }))
    }

    /// Of events with the same value of an attribute one is handled at a time, and others that come
    /// meanwhile are skipped, or cancel it.
    fn singleton(self, by: impl Into<By>, then: While) -> Configured<Self> {
        let by = by.into();
        self.with(|options| options.singleton = Some(Singleton { by, then }))
    }

    /// Shares calls out between the values of an attribute, by weight; 1 for one without a weight.
    fn fair<'a>(
        self,
        by: impl Into<By>,
        weights: impl IntoIterator<Item = (&'a str, u32)>,
    ) -> Configured<Self> {
        let by = by.into();
        let weights = weights.into_iter();
        let weights = weights.map(|(group, weight)| (group.to_owned(), weight));
        let weights = weights.collect();
        self.with(|options| options.fair = Some(Fair { by, weights }))
    }

    /// While the mean event waits longer than this, those of low priority are not handled.
    fn shed(self, wait: Duration, then: Shedding) -> Configured<Self> {
        self.with(|options| options.shed = Some(Shed { wait, then }))
    }

    /// Seeks how many calls there should be at a time, between these bounds.
    fn adaptive(self, least: usize, most: usize) -> Configured<Self> {
        self.with(|options| options.adaptive = Some(Adaptive { least, most }))
    }

    /// How many events a batch has at most, and how long it waits for them.
    fn batch(self, events: usize, age: Duration) -> Configured<Self> {
        self.with(|options| (options.batch_events, options.batch_age) = (events, age))
    }
}

impl<Args, H: Handler<Args>> HandlerExt<Args> for H {}
