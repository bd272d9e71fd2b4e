//! Queueing models over the topology of a Hence application.
//!
//! Plain data in, predictions out: mean and percentile response times, the bottleneck, workers for
//! a target, time to saturation. Nothing here waits, reads a clock or touches a file; simulations
//! take a seed.
//!
//! | Question | Module |
//! |---|---|
//! | what goes in | [`topology`] (from the application), [`fit`] (from measurements), [`model`] |
//! | what comes out | [`plan`], [`sizing`], [`what_if`], [`lint`], [`control`], [`trust`], [`curve`], [`plot`], [`export`] |
//! | everything the formulas cannot answer | [`simulate`] |
//! | the formulas, one model per file | [`mm1`], [`mmc`], [`mg1`], [`ggc`], [`network`] and so on |
//!
//! ```
//! use hence_planner::arrivals::Arrivals;
//! use hence_planner::model::{Model, Source, Station};
//! use hence_planner::plan::{PlanOptions, plan};
//! use hence_planner::service::Dist;
//!
//! let model = Model {
//!     stations: vec![Station::new("charge-card", 12, Dist::Exp { mean: 0.1 })],
//!     sources: vec![Source::new("web", Arrivals::Poisson { rate: 100.0 }, "charge-card")],
//! };
//! let plan = plan(&model, &PlanOptions::default())?;
//! let p99 = plan.predictions[0].p99;
//! assert!(p99.value < 0.5);
//! assert_eq!(p99.method.to_string(), "M/M/c exact");
//! # Ok::<(), hence_planner::plan::PlanError>(())
//! ```

pub mod arrivals;
pub mod balance;
pub mod batch;
pub mod birth_death;
pub mod bulk;
pub mod control;
pub mod curve;
pub mod erlang_a;
pub mod error;
pub mod export;
pub mod fit;
pub mod fork_join;
pub mod ggc;
pub mod gm1;
pub mod histogram;
pub mod level_chain;
pub mod lifecycle;
pub mod lifo;
pub mod lint;
pub mod mdc;
pub mod mg1;
pub mod mm1;
pub mod mmc;
pub mod mmck;
pub mod mmcn;
pub mod model;
pub mod modulated;
pub mod network;
pub mod numeric;
pub mod phase_type;
pub mod plan;
pub mod plot;
pub mod priority;
pub mod retry;
pub mod service;
pub mod sharing;
pub mod simulate;
pub mod sizing;
pub mod srpt;
pub mod tail;
pub mod tandem;
pub mod topology;
pub mod transient;
pub mod trust;
pub mod usl;
pub mod what_if;
