//! Orders, paces, expiry and retry budgets: formulas and simulation agree, and what nobody models
//! is refused by name.

use hence_core::Topology;
use hence_core::topology::{SubscriptionNode, TypeNode};
use hence_planner::arrivals::Arrivals;
use hence_planner::erlang_a::erlang_a;
use hence_planner::mmc::mmc;
use hence_planner::model::{
    Discipline, Expiry, Failure, Keying, Model, Pace, Retry, Spacing, Station,
};
use hence_planner::plan::{Method, PlanError, PlanOptions, flows, plan};
use hence_planner::priority::mmc_non_preemptive;
use hence_planner::service::Dist;
use hence_planner::topology::{Handling, Inflow, Measurements, Missing, model};

use crate::scenario::{exp, pair, poisson, run, single};
use crate::table::Table;

fn with(model: &Model, change: impl FnOnce(&mut Station)) -> Model {
    let mut model = model.clone();
    change(&mut model.stations[0]);
    model
}

#[test]
fn newest_first_has_the_mean_of_a_formula_and_the_tail_of_a_simulation() {
    let fifo = single(poisson(3.2), 4, exp(1.0));
    let lifo = with(&fifo, |s| s.discipline = Discipline::Lifo);
    let options = PlanOptions::default();
    let (fifo, lifo) = (
        plan(&fifo, &options).unwrap(),
        plan(&lifo, &options).unwrap(),
    );
    let (fifo, lifo) = (&fifo.predictions[0], &lifo.predictions[0]);
    assert_eq!(fifo.art, lifo.art, "the same number is present");
    assert!(matches!(lifo.p99.method, Method::Simulation(_)));
    assert!(lifo.p99.value > 1.5 * fifo.p99.value, "{:?}", lifo.p99);
    assert!(lifo.p50.value < fifo.p50.value, "{:?}", lifo.p50);
}

#[test]
fn classes_of_a_station_wait_as_cobham_says() {
    let shares = [0.2, 0.5, 0.3];
    let model = with(&single(poisson(3.2), 4, exp(1.0)), |s| {
        s.discipline = Discipline::Priority;
        s.class_shares = shares.into();
    });
    let lambdas: Vec<f64> = shares.iter().map(|share| share * 3.2).collect();
    let exact = mmc_non_preemptive(&lambdas, 1.0, 4).unwrap();
    let planned = plan(&model, &PlanOptions::default()).unwrap();
    let aged = with(&model, |s| s.discipline = Discipline::Aged { step: 1e5 });
    let simulated = [run(&model, 20, 20_000.0), run(&aged, 20, 20_000.0)];
    let mut t = Table::default();
    for (class, exact) in exact.iter().enumerate() {
        let figure = planned.predictions[0].class_wq[class];
        assert_eq!(figure.method, Method::Cobham);
        t.relative("Cobham", figure.value, *exact, 1e-12);
        for report in &simulated {
            let wait = report.stations[0].classes[class].wait.mean;
            t.simulated("DES", pair(wait), *exact, 0.0);
        }
    }
    let art = planned.predictions[0].art;
    assert_eq!(
        art.method,
        Method::Mmc,
        "the mean of all is that of the queue"
    );
    t.relative("mean", art.value, mmc(3.2, 1.0, 4).unwrap().w(), 1e-12);
}

#[test]
fn ageing_by_nothing_is_first_come_first_served() {
    let aged = with(&single(poisson(3.2), 4, exp(1.0)), |s| {
        s.discipline = Discipline::Aged { step: 0.0 };
        s.class_shares = vec![0.5, 0.5];
    });
    let report = run(&aged, 20, 20_000.0);
    let exact = mmc(3.2, 1.0, 4).unwrap().wq();
    let mut t = Table::default();
    for class in &report.stations[0].classes {
        t.simulated("Wq", pair(class.wait.mean), exact, 0.0);
    }
    let planned = plan(&aged, &PlanOptions::default()).unwrap();
    let method = planned.predictions[0].class_wq[0].method;
    assert!(
        matches!(method, Method::Simulation(_)),
        "Cobham does not age"
    );
}

#[test]
fn what_expires_is_dropped_as_erlang_a_says() {
    let model = with(&single(poisson(12.0), 10, exp(1.0)), |s| {
        s.drop_expired = true;
        s.expiry = Some(Expiry {
            share: 1.0,
            after: exp(0.5),
        });
    });
    let exact = erlang_a(12.0, 1.0, 10, 2.0).unwrap();
    let report = run(&model, 20, 10_000.0);
    let mut t = Table::default();
    let expired = report.stations[0].expired;
    t.simulated("abandon", pair(expired), exact.abandon, 0.0);
    let planned = plan(&model, &PlanOptions::default()).unwrap();
    assert!(
        planned.predictions[0].rho.value > 1.0,
        "it sheds: no refusal"
    );
    // Who is most in a hurry goes first: fewer come too late.
    let sooner = with(&model, |s| s.discipline = Discipline::Deadline);
    let sooner = run(&sooner, 20, 10_000.0).stations[0].expired;
    assert!(sooner.hi < expired.lo, "{sooner:?} {expired:?}");
}

#[test]
fn half_that_never_expire_are_all_served() {
    let model = with(&single(poisson(2.0), 4, exp(1.0)), |s| {
        s.drop_expired = true;
        s.expiry = Some(Expiry {
            share: 0.5,
            after: Dist::Det { mean: 1e-6 },
        });
    });
    // With four workers at half load about one in six waits, and half of those expire.
    let waits = mmc(2.0, 1.0, 4).unwrap().p_wait;
    let expired = run(&model, 10, 20_000.0).stations[0].expired.value;
    assert!(
        expired > 0.3 * waits && expired < 0.5 * waits,
        "{expired} {waits}"
    );
}

#[test]
fn a_pace_is_a_server_of_its_rate() {
    let model = with(&single(poisson(8.0), 1000, Dist::Det { mean: 1e-6 }), |s| {
        s.pace = Some(Pace {
            per_second: 10.0,
            burst: 1.0,
        });
    });
    let flow = flows(&model).unwrap()[0];
    assert_eq!((flow.capacity, flow.rho), (10.0, 0.8));
    let report = run(&model, 20, 5_000.0);
    // M/D/1 at 80 %: ρD/(2(1-ρ)).
    let mut t = Table::default();
    t.simulated("M/D/1", pair(report.stations[0].wait.mean), 0.2, 0.0);
    let burst = with(&model, |s| s.pace.as_mut().unwrap().burst = 20.0);
    let burst = run(&burst, 20, 5_000.0).stations[0].wait.mean;
    assert!(burst.value < 0.05, "a burst passes at once: {burst:?}");
    let fast = with(&model, |s| s.pace.as_mut().unwrap().per_second = 7.0);
    let refused = plan(&fast, &PlanOptions::default());
    assert!(
        matches!(refused, Err(PlanError::Unstable { .. })),
        "{refused:?}"
    );
}

fn retrying(failing: f64, spacing: Option<Spacing>) -> Model {
    with(&single(poisson(30.0), 8, exp(0.1)), |s| {
        s.failure = Some(Failure {
            probability: failing,
            outage: None,
            retry: Retry {
                attempts: 4,
                base: 0.5,
                factor: 2.0,
                cap: 2.0,
                jitter: false,
                hold_key: false,
                budget: None,
            },
        });
        s.spacing = spacing;
    })
}

#[test]
fn retries_beyond_their_budget_have_no_steady_state() {
    let budget = Spacing {
        per_event: 0.1,
        per_second: 1.0,
        burst: 10.0,
        memory: 60.0,
    };
    let options = PlanOptions::default();
    let refused = plan(&retrying(0.2, Some(budget)), &options);
    let Err(PlanError::RetriesBeyondBudget { retries, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!((retries - 30.0 * 0.248).abs() < 1e-9, "{retries}");
    // Far below it, it is as if there were none; near it, waits are simulated.
    let free = plan(&retrying(0.05, Some(budget)), &options).unwrap();
    assert_eq!(free.predictions[0].art.method, Method::Mmc);
    let near = plan(&retrying(0.11, Some(budget)), &options).unwrap();
    assert!(matches!(
        near.predictions[0].art.method,
        Method::Simulation(_)
    ));
}

#[test]
fn a_storm_of_retries_is_spread_at_the_rate_of_the_budget() {
    let budget = Spacing {
        per_event: 0.0,
        per_second: 5.0,
        burst: 1.0,
        memory: 60.0,
    };
    let mut model = retrying(0.0, Some(budget));
    model.stations[0].failure.as_mut().unwrap().outage = Some((50.0, 60.0));
    let without = with(&model, |s| s.spacing = None);
    let journey = |model: &Model| run(model, 10, 6_000.0).sources[0].response.p99.value;
    let (spread, stormy) = (journey(&model), journey(&without));
    // 300 events fail once or more; at five retries a second the last waits for a minute.
    assert!(spread > 30.0 && stormy < 10.0, "{spread} {stormy}");
}

fn topology(order: &str) -> Topology {
    Topology {
        app: "shop".into(),
        sources: Vec::new(),
        types: vec![TypeNode {
            name: "placed".into(),
            keyed: true,
        }],
        subscriptions: vec![SubscriptionNode {
            name: "charge".into(),
            takes: vec!["placed".into()],
            emits: Vec::new(),
            concurrency: 4,
            attempts: 3,
            order: order.into(),
            after: Vec::new(),
            options: std::collections::BTreeMap::new(),
        }],
    }
}

fn measured(handling: Handling) -> Measurements {
    Measurements {
        inflows: vec![Inflow {
            source: "web".into(),
            event: "placed".into(),
            arrivals: Arrivals::Poisson { rate: 20.0 },
            keys: None,
        }],
        subscriptions: [("charge".to_owned(), handling)].into(),
    }
}

#[test]
fn every_order_of_the_runtime_has_its_model() {
    let expiring = Handling {
        classes: vec![0.1, 0.9],
        expiry: Some(Expiry {
            share: 0.3,
            after: exp(1.0),
        }),
        failure: 0.1,
        ..Handling::new(exp(0.1))
    };
    for (order, discipline, keying, servers) in [
        ("per-key", Discipline::Fifo, Keying::Turns, 4),
        ("fifo", Discipline::Fifo, Keying::Partitions(1), 1),
        ("any", Discipline::Fifo, Keying::None, 4),
        ("lifo", Discipline::Lifo, Keying::None, 4),
        ("priority", Discipline::Aged { step: 10.0 }, Keying::None, 4),
        ("deadline", Discipline::Deadline, Keying::None, 4),
    ] {
        let model = model(&topology(order), &measured(expiring.clone())).unwrap();
        let station = &model.stations[0];
        let found = (station.discipline, station.keying, station.servers);
        assert_eq!(found, (discipline, keying, servers), "{order}");
        assert!(station.drop_expired, "what expired is dropped in any order");
        let holds = station.failure.as_ref().unwrap().retry.hold_key;
        assert_eq!(holds, matches!(order, "per-key" | "fifo"), "{order}");
    }
    // Nothing to rank by: first come, first served.
    let plain = measured(Handling::new(exp(0.1)));
    for order in ["priority", "deadline"] {
        let model = model(&topology(order), &plain).unwrap();
        assert_eq!(model.stations[0].discipline, Discipline::Fifo, "{order}");
    }
}

#[test]
fn an_order_that_nobody_models_is_refused_by_name() {
    let plain = measured(Handling::new(exp(0.1)));
    let missing = model(&topology("sideways"), &plain).unwrap_err();
    let said = missing[0].to_string();
    assert!(matches!(missing[0], Missing::Model { .. }), "{said}");
    assert!(
        said.contains("sideways") && said.contains("charge"),
        "{said}"
    );
}

#[test]
fn an_option_that_nobody_models_is_refused_by_name() {
    let plain = measured(Handling::new(exp(0.1)));
    for order in ["adaptive-lifo", "priority-auto"] {
        let said = model(&topology(order), &plain).unwrap_err()[0].to_string();
        assert!(said.contains(order), "{said}");
    }
}
