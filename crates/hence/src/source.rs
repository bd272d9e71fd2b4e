//! `Source`: a component that brings events in.

use std::time::Duration;

use hence_core::{BoxFuture, Event, EventType, Result};
use tokio::time::{Instant, sleep_until};

use crate::bus::Bus;

/// A component that brings events in. Its name becomes the end of their `source` attribute.
///
/// A source that returns an error or panics is started again after a while; one that returns
/// without an error is finished.
pub trait Source: Send + Sync + 'static {
    /// Its name in the topology.
    fn name(&self) -> &str;

    /// Lists the types of events that it brings.
    fn types(&self, types: &mut Vec<EventType>);

    /// Runs until there is nothing more to bring, or the application drains, which drops the future.
    ///
    /// # Errors
    /// Whatever ends it; the runtime logs it and starts the source again.
    fn run(&self, bus: Bus) -> BoxFuture<'_, Result<()>>;
}

/// An event at even intervals.
pub struct Every<F> {
    period: Duration,
    name: String,
    make: F,
}

impl<E: Event, F: Fn() -> E + Send + Sync + 'static> Every<F> {
    /// Publishes what `make` returns once a `period`. The first comes after a random part of a
    /// period, so that timers of many processes do not beat together.
    pub fn new(period: Duration, name: &str, make: F) -> Self {
        Self {
            period: period.max(Duration::from_millis(1)),
            name: name.to_owned(),
            make,
        }
    }
}

impl<E: Event, F: Fn() -> E + Send + Sync + 'static> Source for Every<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn types(&self, types: &mut Vec<EventType>) {
        types.push(EventType::of::<E>());
    }

    fn run(&self, bus: Bus) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut next = Instant::now() + self.period.mul_f64(fastrand::f64());
            loop {
                sleep_until(next).await;
                bus.publish((self.make)()).await?;
                // A slow publish delays the next beat; beats that were missed are not made up.
                next = (next + self.period).max(Instant::now());
            }
        })
    }
}

/// Events at random moments: a Poisson process, for load that behaves as independent users do.
pub struct Poisson<F> {
    rate: f64,
    name: String,
    make: F,
}

impl<E: Event, F: Fn() -> E + Send + Sync + 'static> Poisson<F> {
    /// Publishes what `make` returns at `rate` events a second on average. The times between are
    /// exponential with mean `1/rate`, and do not wait for the answer to the one before.
    pub fn new(rate: f64, name: &str, make: F) -> Self {
        Self {
            rate,
            name: name.to_owned(),
            make,
        }
    }
}

/// The most publishes of a Poisson source that wait for an answer at a time.
const POISSON_WAITING_MAX: usize = 1_024;

impl<E: Event, F: Fn() -> E + Send + Sync + 'static> Source for Poisson<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn types(&self, types: &mut Vec<EventType>) {
        types.push(EventType::of::<E>());
    }

    fn run(&self, bus: Bus) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if !self.rate.is_finite() || self.rate <= 0.0 {
                return std::future::pending().await;
            }
            let mut publishing = tokio::task::JoinSet::new();
            let mut next = Instant::now();
            loop {
                // Inversion: -ln(U)/λ with U uniform on (0, 1].
                next += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / self.rate);
                sleep_until(next).await;
                let (bus, event) = (bus.clone(), (self.make)());
                publishing.spawn(async move { bus.publish(event).await });
                while publishing.len() > POISSON_WAITING_MAX {
                    if let Some(Ok(result)) = publishing.join_next().await {
                        result?;
                    }
                }
                while let Some(done) = publishing.try_join_next() {
                    if let Ok(result) = done {
                        result?;
                    }
                }
            }
        })
    }
}
