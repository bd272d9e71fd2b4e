//! What really came, put into a model: moments, keys and service times of recorded events.

use std::collections::{BTreeMap, HashMap};

use hence::core::Timestamp;
use hence_planner::arrivals::Arrivals;
use hence_planner::model::{Model, Recorded};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::error::{Fault, Result};
use crate::cli::event::{Item, Page, read};
use crate::cli::output::Output;
use crate::cli::query::Query;
use crate::cli::remote::Remote;

/// Events of one page of the list.
const PAGE: usize = 500;
/// Events of the whole log that are looked at, to find those that came from outside.
const LOOKED_MAX: usize = 50_000;

#[derive(Deserialize)]
struct Trace {
    items: Vec<Traced>,
}

#[derive(Deserialize)]
struct Traced {
    #[serde(default)]
    deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct Delivery {
    subscription: String,
    #[serde(default)]
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
struct Attempt {
    ran: Option<Box<RawValue>>,
}

/// One event from outside.
struct Root {
    position: String,
    at: f64,
    r#type: String,
    key: Option<String>,
}

/// Replaces the arrivals of a model by those of the newest events, and says how long they took.
pub(super) async fn put(
    out: &mut Output,
    remote: &Remote,
    model: &mut Model,
    most: usize,
) -> Result<f64> {
    let roots = roots(out, remote, model, most).await?;
    let (Some(first), Some(last)) = (roots.first(), roots.last()) else {
        return Err(Fault::UNSAID
            .error("no event from outside was found to replay")
            .fix("replay a server that has handled some"));
    };
    let (begin, end) = (first.at, last.at);
    let mut keys: HashMap<String, u32> = HashMap::new();
    let mut recorded: BTreeMap<String, (Vec<f64>, Vec<Recorded>)> = BTreeMap::new();
    for root in roots {
        let path = format!("/v1/events/{}/trace", root.position);
        let trace: Trace = remote.get(out, &path, &Query::default()).await?;
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let key = root.key.map(|key| *keys.entry(key).or_insert(count));
        let (at, all) = recorded.entry(root.r#type).or_default();
        at.push(root.at - begin);
        all.push(Recorded {
            key,
            services: services(trace),
        });
    }
    let count: usize = recorded.values().map(|(at, _)| at.len()).sum();
    out.note(&format!("replaying {count} events of {:.0} s", end - begin));
    for source in &mut model.sources {
        let (at, all) = recorded.remove(&source.name).unwrap_or_default();
        source.arrivals = Arrivals::Trace { at };
        source.recorded = all;
        source.keys = None;
    }
    Ok((end - begin).max(1e-3) + 1e-3)
}

/// The newest events that no other event caused and whose type the model knows, the oldest first.
async fn roots(out: &mut Output, remote: &Remote, model: &Model, most: usize) -> Result<Vec<Root>> {
    let mut roots = Vec::new();
    let first = Query::default()
        .with("limit", &PAGE.to_string())
        .with("order", "desc");
    let mut query = first.clone();
    for _ in 0..LOOKED_MAX / PAGE {
        let page: Page = remote.get(out, "/v1/events", &query).await?;
        for item in page.items {
            let listed: Item = read(item.get())?;
            let r#type = listed.event.or_empty("type");
            let known = model.sources.iter().any(|source| source.name == r#type);
            let at = Timestamp::parse(&listed.appended).ok();
            let (Some(at), true, None) = (at, known, listed.event.text("causationid")) else {
                continue;
            };
            if roots.len() == most {
                break;
            }
            roots.push(Root {
                position: listed.position,
                at: at.as_micros() as f64 * 1e-6,
                key: listed.event.text("partitionkey"),
                r#type,
            });
        }
        let Some(next) = page.next.filter(|_| roots.len() < most) else {
            break;
        };
        query = first.with("cursor", &next);
    }
    roots.reverse();
    Ok(roots)
}

/// How long the first attempt of each delivery ran; of several to one subscription the first.
fn services(trace: Trace) -> BTreeMap<String, f64> {
    let mut services = BTreeMap::new();
    for delivery in trace.items.into_iter().flat_map(|traced| traced.deliveries) {
        let ran = delivery
            .attempts
            .first()
            .and_then(|first| first.ran.as_ref());
        let text = ran.map(|ran| ran.get().trim_matches('"').trim_end_matches('s').to_owned());
        if let Some(seconds) = text.and_then(|text| text.parse::<f64>().ok()) {
            services.entry(delivery.subscription).or_insert(seconds);
        }
    }
    services
}
