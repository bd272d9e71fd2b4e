//! `GET /metrics`: what was counted, in the text format 0.0.4 of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hence::Durability;
use hence::core::engine::SubscriptionReport;
use hence::metrics::{BOUNDS, Histogram, SubscriptionMetrics};
use hyper::{Method, StatusCode, Uri};

use super::Gateway;
use super::problem::Problem;
use super::query::Query;
use super::reply::text;

/// The media type of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The most values of a label; further ones are counted together.
const LABELS_MAX: usize = 500;
/// The value under which the others are counted.
const OTHER: &str = "_other";

/// What the gateway itself counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    published: Mutex<BTreeMap<String, u64>>,
    duplicates: AtomicU64,
    publish: Mutex<BTreeMap<&'static str, Arc<Histogram>>>,
    requests: Mutex<BTreeMap<Request, Arc<Histogram>>>,
}

/// A kind of request: route, method, status.
type Request = (String, String, u16);

impl Counters {
    /// Counts an event that was published.
    pub(crate) fn published(&self, event_type: &str, duplicate: bool) {
        if duplicate {
            return self.absorbed();
        }
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = published.get_mut(event_type) {
            *count += 1;
            return;
        }
        let full = published.len() >= LABELS_MAX;
        let label = if full { OTHER } else { event_type };
        *published.entry(label.to_owned()).or_default() += 1;
    }

    /// Counts an event that was there already.
    pub(crate) fn absorbed(&self) {
        self.duplicates.fetch_add(1, Relaxed);
    }

    /// Counts how long a publish took.
    pub(crate) fn publish_took(&self, durability: Durability, took: Duration) {
        let mut all = self.publish.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = Arc::clone(all.entry(durability.as_str()).or_default());
        drop(all);
        histogram.record(took);
    }

    /// Counts a request.
    pub(crate) fn request(
        &self,
        route: Option<&str>,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let known = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];
        let method = if known.contains(method) {
            method.as_str()
        } else {
            OTHER
        };
        let key = (
            route.unwrap_or(OTHER).to_owned(),
            method.to_owned(),
            status.as_u16(),
        );
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = Arc::clone(all.entry(key).or_default());
        drop(all);
        histogram.record(took);
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(
    State(gateway): State<Arc<Gateway>>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let mut out = Text::default();
    gateway.counters.write(&mut out);
    gateway.write_subscriptions(&mut out);
    gateway.write_backtests(&mut out);
    gateway.write_log(&mut out);
    Ok(text(TEXT, out.0))
}

impl Counters {
    fn write(&self, out: &mut Text) {
        let version = env!("CARGO_PKG_VERSION");
        out.family("build_info", "gauge", "The version that runs.");
        out.sample("build_info", &[("version", version)], 1.0);

        out.family(
            "events_published_total",
            "counter",
            "Events stored over HTTP, by type.",
        );
        let published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (event_type, count) in &*published {
            out.sample(
                "events_published_total",
                &[("type", event_type)],
                *count as f64,
            );
        }
        drop(published);

        let name = "events_duplicate_total";
        out.family(name, "counter", "Events that were sent again and absorbed.");
        out.sample(name, &[], self.duplicates.load(Relaxed) as f64);

        let name = "publish_duration_seconds";
        out.family(name, "histogram", "From the read request to the receipt.");
        let all = self
            .publish
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for (durability, histogram) in &all {
            out.histogram(name, &[("durability", durability)], histogram);
        }

        let name = "http_request_duration_seconds";
        out.family(
            name,
            "histogram",
            "From the head of a request to the head of its response.",
        );
        let all = self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for ((route, method, status), histogram) in &all {
            let status = status.to_string();
            let labels = [
                ("route", route.as_str()),
                ("method", method.as_str()),
                ("status", status.as_str()),
            ];
            out.histogram(name, &labels, histogram);
        }
    }
}

/// A number of a subscription that the engine reports.
type Gauge = (&'static str, &'static str, fn(&SubscriptionReport) -> u64);
/// A histogram of a subscription.
type Timing = (
    &'static str,
    &'static str,
    fn(&SubscriptionMetrics) -> &Histogram,
);

/// What the engine reports of subscriptions.
const GAUGES: [Gauge; 3] = [
    (
        "deliveries_in_flight",
        "Deliveries that the runtime holds.",
        |r| r.in_flight,
    ),
    (
        "subscription_lag_events",
        "Events that are not settled.",
        |r| r.lag,
    ),
    ("dead_letters", "Dead letters that are kept.", |r| r.dead),
];
/// What the runtime measures of subscriptions.
const TIMINGS: [Timing; 2] = [
    ("delivery_wait_seconds", "From append to attempt.", |m| {
        &m.wait
    }),
    ("delivery_duration_seconds", "How long handlers ran.", |m| {
        &m.duration
    }),
];

impl Gateway {
    fn write_subscriptions(&self, out: &mut Text) {
        let name = "deliveries_total";
        out.family(name, "counter", "Attempts that ended, by how.");
        for (subscription, metrics) in &self.metrics {
            for (outcome, count) in [
                ("done", metrics.done()),
                ("retry", metrics.retried()),
                ("reject", metrics.rejected()),
                ("expired", metrics.expired()),
                ("skipped", metrics.skipped()),
            ] {
                let labels = [
                    ("subscription", subscription.as_str()),
                    ("outcome", outcome),
                ];
                out.sample(name, &labels, count as f64);
            }
        }
        let name = "deliveries_shed_total";
        let help = "How often a delivery was put off because there was too much.";
        out.family(name, "counter", help);
        for (subscription, metrics) in &self.metrics {
            let labels = [("subscription", subscription.as_str())];
            out.sample(name, &labels, metrics.shed() as f64);
        }
        let name = "subscription_paused";
        out.family(name, "gauge", "1 while somebody has paused it, else 0.");
        for subscription in self.metrics.keys() {
            let paused = self.pauser.paused(subscription).is_some();
            let labels = [("subscription", subscription.as_str())];
            out.sample(name, &labels, f64::from(u8::from(paused)));
        }
        for (name, help, histogram) in TIMINGS {
            out.family(name, "histogram", help);
            for (subscription, metrics) in &self.metrics {
                out.histogram(name, &[("subscription", subscription)], histogram(metrics));
            }
        }
        let reports = self.bus.engine().subscriptions();
        for (name, help, value) in GAUGES {
            out.family(name, "gauge", help);
            for report in &reports {
                out.sample(
                    name,
                    &[("subscription", &report.name)],
                    value(report) as f64,
                );
            }
        }
    }

    /// How far predictions were off, so that it can raise an alert.
    fn write_backtests(&self, out: &mut Text) {
        let tested = self.backtests.all();
        let name = "prediction_error_ratio";
        let help = "Predicted over measured mean response time less one, of the last minute.";
        out.family(name, "gauge", help);
        for one in &tested {
            if let Some(last) = one.last.filter(|last| last.measured > 0.0) {
                let error = last.predicted / last.measured - 1.0;
                out.sample(name, &[("subscription", &one.subscription)], error);
            }
        }
        let name = "prediction_inside_ratio";
        let help = "Part of the last predictions, up to 120, whose band held what came.";
        out.family(name, "gauge", help);
        for one in &tested {
            let share = one.inside as f64 / one.of.max(1) as f64;
            out.sample(name, &[("subscription", &one.subscription)], share);
        }
    }

    fn write_log(&self, out: &mut Text) {
        // When storage has failed there is nothing to say; `/readyz` says that.
        if let Ok(report) = self.bus.engine().health() {
            let name = "log_sync_duration_seconds";
            out.family(
                name,
                "summary",
                "How long the log waited for stable storage.",
            );
            let (sum, count) = (format!("{name}_sum"), format!("{name}_count"));
            out.sample(&sum, &[], report.syncing.as_secs_f64());
            out.sample(&count, &[], report.syncs as f64);
            if let Some(indexed) = report.indexed {
                let name = "index_lag_events";
                let help = "Events that the index does not know yet; searches read them.";
                out.family(name, "gauge", help);
                let lag = report.last.0.saturating_sub(indexed.0);
                out.sample(name, &[], lag as f64);
            }
        }
    }
}

/// Metrics as they are written.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(
            self.0,
            "# HELP hence_{name} {help}\n# TYPE hence_{name} {kind}\n"
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.0, "hence_{name}{labels} {value}");
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let bounds = BOUNDS
            .iter()
            .map(ToString::to_string)
            .chain(["+Inf".to_owned()]);
        let bucket = format!("{name}_bucket");
        let mut count = 0;
        for (bound, fell) in bounds.zip(histogram.counts()) {
            count += fell;
            let labels: Vec<_> = labels
                .iter()
                .copied()
                .chain([("le", bound.as_str())])
                .collect();
            self.sample(&bucket, &labels, count as f64);
        }
        self.sample(&format!("{name}_sum"), labels, histogram.sum());
        self.sample(&format!("{name}_count"), labels, count as f64);
    }
}

/// The escapes of a label value.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
