//! The answer of the server, as far as the command line shows it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Answer {
    pub(crate) outcome: String,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) subscriptions: Vec<Row>,
    #[serde(default)]
    pub(crate) types: Vec<Way>,
    pub(crate) bottleneck: Option<Bottleneck>,
    pub(crate) target: Option<Aim>,
    pub(crate) workers: Option<Workers>,
    #[serde(default)]
    pub(crate) backtest: Vec<Tested>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Number {
    pub(crate) value: f64,
    #[serde(default)]
    pub(crate) lo: f64,
    #[serde(default)]
    pub(crate) hi: f64,
    #[serde(default)]
    pub(crate) method: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) subscription: String,
    pub(crate) unknown: Option<String>,
    pub(crate) lambda: Option<f64>,
    pub(crate) es: Option<f64>,
    pub(crate) cs2: Option<f64>,
    pub(crate) c: Option<u32>,
    pub(crate) rho: Option<Number>,
    art: Option<Number>,
    p50: Option<Number>,
    p99: Option<Number>,
    pub(crate) fate: Option<Fate>,
    #[serde(default)]
    pub(crate) measured: Seen,
    #[serde(default)]
    pub(crate) backlog: u64,
    pub(crate) drain: Option<Span>,
    pub(crate) saturation: Option<Span>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

impl Row {
    /// What is predicted.
    pub(crate) fn times(&self) -> Option<Times> {
        Some(Times {
            art: self.art.clone()?,
            p50: self.p50.clone()?,
            p99: self.p99.clone()?,
        })
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Times {
    pub(crate) art: Number,
    pub(crate) p50: Number,
    pub(crate) p99: Number,
}

#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Seen {
    #[serde(default)]
    pub(crate) attempts: u64,
    pub(crate) art: Option<f64>,
    pub(crate) p99: Option<f64>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Span {
    pub(crate) mean: f64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Way {
    pub(crate) r#type: String,
    pub(crate) rate: Option<f64>,
    pub(crate) unknown: Option<String>,
    #[serde(flatten)]
    pub(crate) times: Option<Times>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Bottleneck {
    pub(crate) subscription: String,
    pub(crate) rho: f64,
    pub(crate) headroom: f64,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Aim {
    pub(crate) target: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Workers {
    pub(crate) subscription: String,
    pub(crate) workers: u32,
    pub(crate) stairs: Vec<Step>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Step {
    pub(crate) workers: u32,
    pub(crate) figure: Option<Number>,
}

/// A share of dead letters that no measurement of some minutes can see: it is a product of small ones.
const RARE: f64 = 1e-6;

/// What becomes of an event.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Fate {
    pub(crate) dead: f64,
    pub(crate) expired: f64,
    attempts: f64,
    deadband: Option<[f64; 2]>,
}

impl Fate {
    /// Whether something is lost, or how much is at most was counted.
    pub(crate) fn says_much(&self) -> bool {
        self.dead + self.expired > 0.0 || self.deadband.is_some()
    }

    /// In words: how many are lost for one that is handled, of what was seen.
    pub(crate) fn say(&self, seen: &Seen) -> String {
        let one_in = |share: f64| format!("1 in {:.0}", 1.0 / share);
        let mut parts = Vec::new();
        let band = self.deadband.filter(|[_, hi]| *hi > 0.0);
        if self.dead >= RARE {
            let mut text = format!("{} events becomes a dead letter", one_in(self.dead));
            if let Some([lo, hi]) = band.filter(|[lo, _]| *lo > 0.0) {
                text = format!("{text} ({} to {})", one_in(hi), one_in(lo));
            }
            parts.push(text);
        } else if let Some([_, hi]) = band {
            // Both ends of the counts, of failures and of rejections, hold in 97.5 % each.
            let below = one_in(hi);
            parts.push(if self.dead > 0.0 {
                format!("dead letters below {below} events (95 %, if attempts fail independently)")
            } else {
                let attempts = seen.attempts;
                format!("no dead letter in {attempts} attempts: below {below} events (95 %)")
            });
        } else if self.dead > 0.0 {
            parts.push(format!(
                "{} events becomes a dead letter",
                one_in(self.dead)
            ));
        }
        if self.expired > 0.0 {
            parts.push(format!("{} expires", one_in(self.expired)));
        }
        let attempts = self.attempts;
        parts.push(format!("{attempts:.3} attempts each"));
        parts.join(", ")
    }
}

/// How earlier predictions came out.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Tested {
    pub(crate) subscription: String,
    pub(crate) of: u64,
    pub(crate) inside: u64,
    pub(crate) median: Option<f64>,
    pub(crate) last: Option<Compared>,
}

/// A prediction for a minute and what it brought.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Compared {
    pub(crate) predicted: f64,
    pub(crate) lo: f64,
    pub(crate) hi: f64,
    pub(crate) measured: f64,
}
