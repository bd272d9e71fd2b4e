//! Life cycles of journeys, curves over the load, and formulas in words.

use std::collections::BTreeMap;

use hence_planner::curve::{calibration_chart, curve, stairs_chart};
use hence_planner::lifecycle::{Chances, Fate, fate, journeys, life};
use hence_planner::mmc::mmc;
use hence_planner::model::{Branch, Discipline, Model, Source, Station, all_to};
use hence_planner::plan::{PlanOptions, explain, plan};
use hence_planner::sizing::{Percentile, Target, workers_for};

use crate::scenario::{exp, poisson, single};
use crate::table::{EXACT, Table};

fn chances(fail: f64, reject: f64, expire: f64) -> Chances {
    Chances {
        fail,
        reject,
        expire,
    }
}

#[test]
fn a_fate_is_the_absorbing_chain_of_its_attempts() {
    let found = fate(chances(0.2, 0.0, 0.0), 4).unwrap();
    let chain = life(0.2, 1.0, &[0.0, 0.0, 0.0]).unwrap();
    let mut t = Table::default();
    t.relative("dead", found.dead, 0.2_f64.powi(4), EXACT);
    t.relative("dead by life", found.dead, chain.dead, EXACT);
    t.relative("attempts", found.attempts, chain.attempts, EXACT);
    let found = fate(chances(0.1, 0.05, 0.3), 2).unwrap();
    t.relative("expired", found.expired, 0.3, EXACT);
    t.relative("dead", found.dead, 0.7 * (0.05 + 0.1 * 0.15), EXACT);
    let all = found.consumed + found.dead + found.expired;
    t.relative("some end it has", all, 1.0, EXACT);
    t.relative("attempts", found.attempts, 0.7 * 1.1, EXACT);
    assert!(fate(chances(0.7, 0.5, 0.0), 2).is_err());
}

fn two_ways() -> Model {
    let mut first = Station::new("first", 4, exp(0.1));
    first.emits = vec![all_to("left"), all_to("right")];
    let stations = vec![
        first,
        Station::new("left", 4, exp(0.1)),
        Station::new("right", 4, exp(0.1)),
    ];
    Model {
        stations,
        sources: vec![Source::new("s", poisson(1.0), "first")],
    }
}

#[test]
fn copies_that_go_apart_must_all_arrive() {
    let fates: BTreeMap<String, Fate> = [("first", 0.1), ("left", 0.2), ("right", 0.3)]
        .into_iter()
        .map(|(name, reject)| {
            let fate = fate(chances(0.0, reject, 0.0), 1).unwrap();
            (name.to_owned(), fate)
        })
        .collect();
    let found = journeys(&two_ways(), &fates).unwrap()[0];
    let mut t = Table::default();
    t.relative("all well", found.consumed, 0.9 * 0.8 * 0.7, EXACT);
    t.relative("dead letters", found.dead, 0.1 + 0.9 * (0.2 + 0.3), EXACT);
    t.relative("attempts", found.attempts, 1.0 + 0.9 * 2.0, EXACT);
    // Round and round with an exit: x = f·(1 - p(1 - x)).
    let mut round = two_ways();
    round.stations[0].emits = vec![vec![Branch {
        to: "first".into(),
        p: 0.5,
    }]];
    let found = journeys(&round, &fates).unwrap()[0];
    t.relative("loop", found.consumed, 0.9 * 0.5 / (1.0 - 0.9 * 0.5), EXACT);
    // An unknown station loses nothing.
    let found = journeys(&two_ways(), &BTreeMap::new()).unwrap()[0];
    t.relative("nothing is lost", found.consumed, 1.0, EXACT);
}

#[test]
fn the_hockey_stick_is_that_of_the_formula() {
    let model = single(poisson(100.0), 12, exp(0.1));
    let grown = curve(&model, "q", &PlanOptions::default()).unwrap();
    let mut t = Table::default();
    t.relative("saturation", grown.saturation, 1.2, EXACT);
    for point in &grown.points {
        let exact = mmc(100.0 * point.load, 10.0, 12).unwrap();
        let p99 = exact.response_quantile(0.99).unwrap();
        t.relative("p99", point.p99, p99, EXACT);
    }
    let knee = grown.knee().unwrap();
    assert!(knee > 1.1 && knee < grown.saturation, "{knee}");
    let svg = grown.chart().to_svg();
    assert!(
        svg.contains("q saturates") && svg.contains(">now<"),
        "{svg}"
    );
    assert!(curve(&model, "nobody", &PlanOptions::default()).is_err());
}

#[test]
fn stairs_and_calibration_are_drawn() {
    let model = single(poisson(100.0), 12, exp(0.1));
    let target = Target {
        of: "q".into(),
        figure: Percentile::P99,
        below: 0.5,
    };
    let sizing = workers_for(&model, "q", &target, &PlanOptions::default()).unwrap();
    let svg = stairs_chart(&sizing, &target).to_svg();
    assert!(svg.contains("target") && svg.contains(">12<"), "{svg}");
    let svg = calibration_chart(&[("mean", vec![(0.1, 0.11), (0.3, 0.2)])]).to_svg();
    assert!(svg.contains("+25 %") && !svg.contains("NaN"), "{svg}");
}

#[test]
fn an_explanation_has_the_numbers_of_the_plan() {
    let model = single(poisson(8.0), 10, exp(1.0));
    let planned = plan(&model, &PlanOptions::default()).unwrap();
    let lines = explain(&model, &planned, "q").unwrap().join("\n");
    for part in [
        "λ = 8.00/s",
        "8.000 erlang on c = 10",
        "ρ = 0.800",
        "C(c, a) = 0.4092",
        "Wq of M/M/c = C/(c/E[S] - λ) = 204.59 ms",
        "by M/M/c exact",
    ] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    let mut lifo = model.clone();
    lifo.stations[0].discipline = Discipline::Lifo;
    let planned = plan(&lifo, &PlanOptions::default()).unwrap();
    let lines = explain(&lifo, &planned, "q").unwrap().join("\n");
    assert!(
        lines.contains("the tail of this order: simulated"),
        "{lines}"
    );
    assert!(explain(&lifo, &planned, "nobody").is_err());
}

#[test]
fn the_c_mu_rule_gives_classes() {
    use hence_planner::control::{Costed, c_mu_classes};
    let costed = |name: &str, weight, es| Costed {
        name: name.into(),
        weight,
        es,
    };
    let all = [
        costed("slow", 1.0, 0.5),
        costed("dear", 10.0, 0.5),
        costed("quick", 1.0, 0.05),
    ];
    let named = |name: &str, class| (name.to_owned(), class);
    let expected = [named("dear", 0), named("quick", 0), named("slow", 1)];
    assert_eq!(c_mu_classes(&all).unwrap(), expected);
    assert!(c_mu_classes(&[costed("never", 1.0, 0.0)]).is_err());
}
