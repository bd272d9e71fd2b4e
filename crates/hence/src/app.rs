//! `App`: the wiring of state, sources, subscriptions and layers; and `Running`, once it runs.

use std::any::type_name;
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hence_core::engine::Feature;
use hence_core::flow::While;
use hence_core::topology::{SourceNode, SubscriptionNode, TypeNode};
use hence_core::{
    Call, Capability, Code, Durability, Effects, Engine, EventType, Handler, Options, Order,
    Result, Signature, States, SubscriptionSpec, Topology, Unhandled,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};

use crate::after;
use crate::bus::Bus;
use crate::explain::Explainer;
use crate::pause::Pauser;
use crate::replay::Replayer;
use crate::runtime::crash::Watch;
use crate::runtime::dispatch::Pump;
use crate::runtime::metrics::{Metrics, SubscriptionMetrics};
use crate::runtime::standing::QUESTIONS_MAX;
use crate::source::Source;
use crate::subscription::{HandlerService, Subscription};

/// How long a drain waits for handlers that run.
pub const DRAIN_MAX: Duration = Duration::from_secs(25);
/// How long a source that failed waits before it is started again.
const SOURCE_AGAIN: Duration = Duration::from_secs(1);
/// The longest name of a subscription.
const NAME_LENGTH_MAX: usize = 63;

/// The wiring of an application, before it runs.
///
/// ```
/// # use hence::{App, Event, State};
/// # #[derive(Event, serde::Serialize, serde::Deserialize)]
/// # #[event(type = "order.placed", key = order_id)]
/// # struct OrderPlaced { order_id: String }
/// # struct Stock;
/// # async fn reserve_stock(_: OrderPlaced, _: State<Stock>) {}
/// let app = App::new("shop").state(Stock).subscribe("reserve-stock", reserve_stock);
/// app.check().unwrap();
/// assert_eq!(app.topology().subscriptions[0].takes, ["order.placed"]);
/// ```
#[must_use = "an app does nothing before `run` or `start`"]
pub struct App {
    name: String,
    states: States,
    sources: Vec<Arc<dyn Source>>,
    subscriptions: Vec<Subscription>,
    durability: Option<Durability>,
    allow_cycles: bool,
    problems: Vec<String>,
}

impl App {
    /// An application without anything. Its name becomes the `source` of what it publishes:
    /// `/name`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            states: States::default(),
            sources: Vec::new(),
            subscriptions: Vec::new(),
            durability: None,
            allow_cycles: false,
            problems: Vec::new(),
        }
    }

    /// Gives a dependency that handlers ask for as [`State<T>`](crate::State).
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        if self.states.insert(value).is_some() {
            self.problems
                .push(format!("State<{}> is given twice", type_name::<T>()));
        }
        self
    }

    /// Binds a handler under a durable name.
    pub fn subscribe<Args: 'static>(self, name: &str, handler: impl Handler<Args>) -> Self {
        self.subscribe_all([Subscription::new(name, handler)])
    }

    /// Binds what [`handlers!`](crate::handlers) lists.
    pub fn subscribe_all(mut self, all: impl IntoIterator<Item = Subscription>) -> Self {
        self.subscriptions.extend(all);
        self
    }

    /// Adds a component that brings events in.
    pub fn source(mut self, source: impl Source) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Wraps every handler that is subscribed so far in a layer of `tower`, each in its own.
    ///
    /// An error of the layer itself, such as a time-out, fails the attempt, which is tried again.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<HandlerService>,
        L::Service: Service<Call, Response = Effects> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call>>::Future: Send + 'static,
        <L::Service as Service<Call>>::Error: Into<Unhandled> + 'static,
    {
        for subscription in &mut self.subscriptions {
            subscription.layered(&layer);
        }
        self
    }

    /// Changes the numbers of a subscription by its name, as a configuration file does.
    pub fn configure(mut self, name: &str, change: impl FnOnce(&mut Options)) -> Self {
        match self.subscriptions.iter_mut().find(|s| &*s.name == name) {
            Some(subscription) => change(&mut subscription.options),
            None => self
                .problems
                .push(format!("there is no subscription '{name}' to configure")),
        }
        self
    }

    /// The durability that publishing waits for, in place of the strongest that the engine has.
    pub fn durability(mut self, level: Durability) -> Self {
        self.durability = Some(level);
        self
    }

    /// Allows events to cause events of their own type. Each handler on the way must see to an end.
    pub fn allow_cycles(mut self) -> Self {
        self.allow_cycles = true;
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The graph of sources, types and subscriptions, as the signatures say it.
    #[must_use]
    pub fn topology(&self) -> Topology {
        self.graph(true)
    }

    /// The graph with what timers publish, or without.
    fn graph(&self, timed: bool) -> Topology {
        let mut types: BTreeMap<&str, bool> = BTreeMap::new();
        let names = |list: &[EventType]| {
            let mut names: Vec<String> = Vec::new();
            for name in list.iter().map(|event_type| event_type.name) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            names
        };
        let mut sources = Vec::new();
        for source in &self.sources {
            let mut emits = Vec::new();
            source.types(&mut emits);
            types.extend(emits.iter().map(|t| (t.name, t.keyed)));
            sources.push(SourceNode {
                name: source.name().to_owned(),
                emits: names(&emits),
            });
        }
        let mut subscriptions = Vec::new();
        for Subscription {
            name,
            signature,
            options,
            ..
        } in &self.subscriptions
        {
            let mut emits = signature.emits.clone();
            if timed {
                emits.extend(&signature.timed);
            }
            types.extend(
                signature
                    .takes
                    .iter()
                    .chain(&emits)
                    .map(|t| (t.name, t.keyed)),
            );
            subscriptions.push(SubscriptionNode {
                name: name.to_string(),
                takes: names(&signature.takes),
                emits: names(&emits),
                concurrency: options.concurrency,
                attempts: options.retry.attempts,
                order: options.order.as_str().to_owned(),
                options: options.settings(),
                after: options.after.clone(),
            });
        }
        let types = types
            .into_iter()
            .map(|(name, keyed)| TypeNode {
                name: name.to_owned(),
                keyed,
            })
            .collect();
        Topology {
            app: self.name.clone(),
            sources,
            types,
            subscriptions,
        }
    }

    /// Every type that it takes, publishes or brings, by name.
    fn types(&self) -> HashMap<&'static str, EventType> {
        let mut types = Vec::new();
        self.sources
            .iter()
            .for_each(|source| source.types(&mut types));
        for Subscription { signature, .. } in &self.subscriptions {
            types.extend(&signature.takes);
            types.extend(signature.emits.iter().chain(&signature.timed));
        }
        types.into_iter().map(|known| (known.name, known)).collect()
    }

    /// Checks the wiring, without an engine: every state is there, every name is good and used
    /// once, numbers make sense, no event can cause itself for ever.
    ///
    /// # Errors
    /// `HN0301` with every problem, not only the first.
    pub fn check(&self) -> Result<()> {
        let mut problems = self.problems.clone();
        if !is_name(&self.name) {
            problems.push(format!(
                "'{}' cannot name an application: use 1 to {NAME_LENGTH_MAX} of a-z, 0-9 and -",
                self.name
            ));
        }
        let mut names = std::collections::HashSet::new();
        for subscription in &self.subscriptions {
            if !names.insert(&subscription.name) {
                problems.push(format!(
                    "two subscriptions are named '{}'",
                    subscription.name
                ));
            }
            problems.extend(self.problems_of(subscription));
        }
        problems.extend(after::problems(&self.subscriptions));
        if !self.allow_cycles
            // A timer that sets itself again takes its time, so it is no loop that runs away.
            && let Some(cycle) = self.graph(false).cycle()
        {
            problems.push(format!(
                "events can cause themselves for ever: {} (`allow_cycles()` permits it)",
                cycle.join(" → ")
            ));
        }
        if problems.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = problems
            .iter()
            .map(|problem| format!("\n  - {problem}"))
            .collect();
        Err(Code::WIRING.error(format!("'{}' cannot run:{}", self.name, list.concat())))
    }

    fn problems_of(&self, subscription: &Subscription) -> Vec<String> {
        let Subscription {
            name,
            signature,
            options,
            ..
        } = subscription;
        let mut problems = Vec::new();
        if !is_name(name) {
            problems.push(format!(
                "'{name}' cannot name a subscription: use 1 to {NAME_LENGTH_MAX} of a-z, 0-9 and -"
            ));
        }
        for (id, type_name) in &signature.needs {
            if !self.states.contains(*id) {
                problems.push(format!(
                    "'{name}' needs State<{type_name}>: give it with `.state(…)`"
                ));
            }
        }
        problems.extend(state_problems(name, signature, options.order));
        for problem in options.problems() {
            problems.push(format!("'{name}': {problem}"));
        }
        let singly = [
            (options.limit.is_some(), "limit"),
            (options.fair.is_some(), "fair"),
            (options.shed.is_some(), "shed"),
            (
                options
                    .singleton
                    .as_ref()
                    .is_some_and(|s| s.then == While::Cancel),
                "singleton.then = cancel",
            ),
        ];
        for (on, what) in singly.into_iter().filter(|_| signature.batch) {
            if on {
                problems.push(format!(
                    "'{name}': {what} speaks of one event, and a batch has many"
                ));
            }
        }
        problems
    }

    /// Whether an engine has what the handlers need.
    fn check_features(&self, capability: &Capability) -> Result<()> {
        for Subscription { signature, .. } in &self.subscriptions {
            let needs = [
                (!signature.keyed.is_empty(), Feature::Keyed),
                (!signature.timed.is_empty(), Feature::Timers),
            ];
            for (needed, feature) in needs {
                if needed && !capability.has(feature) {
                    return Err(capability.lacks(feature));
                }
            }
        }
        Ok(())
    }

    /// Runs on the engine of a URL (`memory:`, `log:./data`) until Ctrl-C or SIGTERM, then drains.
    ///
    /// # Errors
    /// `HN0301` the wiring, `HN0201` the URL, or what the engine says.
    pub async fn run(self, url: &str) -> Result<()> {
        let running = self.start(url).await?;
        interrupted().await;
        running.drain().await;
        Ok(())
    }

    /// Starts on the engine of a URL and returns while it runs.
    ///
    /// # Errors
    /// As [`App::run`].
    pub async fn start(self, url: &str) -> Result<Running> {
        self.check()?;
        let engine = open(url)?;
        self.start_on(engine).await
    }

    /// Starts on an engine that is open already.
    ///
    /// # Errors
    /// `HN0301` the wiring, `HN0202` a durability that the engine does not have, `HN0221` a feature
    /// that it does not have, or what the engine says.
    pub async fn start_on(self, engine: Arc<dyn Engine>) -> Result<Running> {
        self.check()?;
        let capability = engine.capability();
        let durability = self.durability.unwrap_or(capability.strongest());
        capability.check(durability)?;
        self.check_features(capability)?;
        let topology = self.topology();
        let source = format!("/{}", self.name);
        let bus = Bus::new(Arc::clone(&engine), &source, durability, self.types());
        let running = Running {
            bus,
            topology,
            metrics: Metrics::new(),
            tasks: TaskTracker::new(),
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
            explainer: Explainer::new(Arc::clone(&engine)),
            replayer: Replayer::new(Arc::clone(&engine), &source),
            pauser: Pauser::new(engine, &source),
        };
        running.start(self, &source).await
    }
}

/// Why state of a key cannot be kept for a handler: two events of one key must never run at a time.
fn state_problems(name: &str, signature: &Signature, order: Order) -> Vec<String> {
    let mut problems = Vec::new();
    let asks = match (signature.keyed.as_slice(), !signature.timed.is_empty()) {
        ([], false) => return problems,
        ([], true) => "a Timer".to_owned(),
        ([one], _) => format!("Keyed<{one}>"),
        (several, _) => {
            let list = several.join(" and ");
            problems.push(format!(
                "'{name}' takes Keyed of {list}: a key has one value, so put them into one type"
            ));
            "Keyed".to_owned()
        }
    };
    if signature.batch {
        problems.push(format!(
            "'{name}' takes {asks} and a batch, whose events have different keys"
        ));
    }
    if !matches!(order, Order::PerKey | Order::Fifo) {
        let order = order.as_str();
        problems.push(format!(
            "'{name}' takes {asks}, so its order must be per-key or fifo, not {order}: events of \
             one key must not run at a time"
        ));
    }
    problems
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}

/// An application that runs. It publishes and reads as its [`Bus`] does.
///
/// Dropping it abandons the handlers that run; nothing acknowledged is lost, and what was not
/// settled is delivered again. [`Running::drain`] lets them finish.
#[derive(Debug)]
pub struct Running {
    bus: Bus,
    topology: Topology,
    metrics: Metrics,
    tasks: TaskTracker,
    drain: CancellationToken,
    stop: CancellationToken,
    explainer: Explainer,
    replayer: Replayer,
    pauser: Pauser,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Deliveries that were still with a handler at the end; they are delivered again.
    pub abandoned: u64,
}

impl Running {
    async fn start(mut self, app: App, source: &str) -> Result<Self> {
        let engine = Arc::clone(self.bus.engine());
        let states = Arc::new(app.states);
        let watch = Watch::of(&engine);
        for subscription in after::sorted(app.subscriptions) {
            let metrics = Arc::new(SubscriptionMetrics::default());
            self.metrics
                .insert(subscription.name.to_string(), Arc::clone(&metrics));
            let types = subscription
                .signature
                .takes
                .iter()
                .map(|t| t.name.to_owned())
                .collect();
            let options = &subscription.options;
            let mut spec = SubscriptionSpec::new(&subscription.name, types, options.start);
            spec.after.clone_from(&options.after);
            let deliveries = engine.subscribe(spec).await?;
            let (engine, states) = (Arc::clone(&engine), Arc::clone(&states));
            self.replayer.add(&subscription, &states);
            let (asks, questions) = mpsc::channel(QUESTIONS_MAX);
            let (name, after) = (&subscription.name, &subscription.options.after);
            self.explainer.add(name, after, asks.clone());
            let paused = self.pauser.add(name, asks).await?;
            let pump = Pump::new(
                subscription,
                engine,
                states,
                metrics,
                source,
                &*deliveries,
                (questions, watch.clone(), paused),
            );
            self.tasks
                .spawn(pump.run(deliveries, self.drain.clone(), self.stop.clone()));
        }
        for brought in app.sources {
            let bus = self
                .bus
                .with_source(&format!("{source}/{}", brought.name()));
            let drain = self.drain.clone();
            self.tasks.spawn(async move {
                drain.run_until_cancelled(supervise(brought, bus)).await;
            });
        }
        self.tasks.close();
        Ok(self)
    }

    /// The handle to publish and to read.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The graph of the application.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// What was counted since it began, by subscription.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Says of an event which subscriptions take it, by which clause, and what each waits for.
    #[must_use]
    pub fn explainer(&self) -> &Explainer {
        &self.explainer
    }

    /// Pauses subscriptions, and lets them go on.
    #[must_use]
    pub fn pauser(&self) -> &Pauser {
        &self.pauser
    }

    /// Brings old events to one handler again.
    #[must_use]
    pub fn replayer(&self) -> &Replayer {
        &self.replayer
    }

    /// Stops pulling, lets handlers finish for up to [`DRAIN_MAX`], and closes the engine.
    pub async fn drain(self) -> Drained {
        self.drain_within(DRAIN_MAX).await
    }

    /// As [`Running::drain`], for callers that have less time.
    pub async fn drain_within(self, limit: Duration) -> Drained {
        self.drain.cancel();
        let finished = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        let abandoned = if finished {
            0
        } else {
            self.metrics.values().map(|m| m.running()).sum()
        };
        self.stop.cancel();
        self.tasks.wait().await;
        self.bus.engine().close().await;
        if abandoned > 0 {
            tracing::warn!(
                abandoned,
                "handlers did not finish; their events are delivered again"
            );
        }
        Drained { abandoned }
    }
}

impl Deref for Running {
    type Target = Bus;

    fn deref(&self) -> &Bus {
        &self.bus
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.drain.cancel();
        self.stop.cancel();
    }
}

/// Keeps a source running until it has nothing more to bring.
async fn supervise(source: Arc<dyn Source>, bus: Bus) {
    loop {
        // It is called within the future, so a panic before its first await counts.
        let run = async { source.run(bus.clone()).await };
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::warn!(source = source.name(), %error, "source failed, starting it again");
            }
            Err(_) => {
                tracing::error!(source = source.name(), "source panicked, starting it again");
            }
        }
        tokio::time::sleep(SOURCE_AGAIN).await;
    }
}

/// Opens the engine of a URL, among those that the features of this crate bring.
fn open(url: &str) -> Result<Arc<dyn Engine>> {
    #[cfg(feature = "local")]
    return hence_engine_local::open(url);
    #[cfg(not(feature = "local"))]
    Err(Code::ENGINE_URL.error(format!(
        "'{url}': no engine is built in; see the feature `local`"
    )))
}

/// Waits for Ctrl-C or SIGTERM, as [`App::run`] does before it drains.
pub async fn interrupted() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}

fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.chars().all(good) && !name.starts_with('-')
}
