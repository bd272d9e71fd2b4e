//! Networks and shapes of graphs: V14 to V16, V20, V25, V27, V32, V33.

use hence_planner::error::Domain;
use hence_planner::network::{jackson, qna};
use hence_planner::numeric::matrix::Matrix;
use hence_planner::service::Dist;
use hence_planner::{balance, fork_join, lifecycle, mm1, mmc, retry, tandem};

use crate::table::{CHAIN, EXACT, Table};

#[test]
fn v14_jackson() {
    let p = Matrix::from_rows(&[
        vec![0.0, 0.7, 0.3],
        vec![0.0, 0.0, 1.0],
        vec![0.05, 0.0, 0.0],
    ]);
    let net = jackson::jackson(&[10.0, 0.0, 0.0], &p, &[8.0, 6.0, 15.0], &[2, 2, 1]).unwrap();
    let mut t = Table::default();
    let rows = [
        (10.52631579, 0.2203907204),
        (7.36842105, 0.2675395257),
        (10.52631579, 0.2235294118),
    ];
    for (i, (station, (lambda, w))) in net.stations.iter().zip(rows).enumerate() {
        t.relative(&format!("V14 λ{i}"), station.lambda, lambda, EXACT);
        t.relative(&format!("V14 W{i}"), station.w(), w, EXACT);
    }
    t.relative("V14 ART", net.art, 0.664418737, EXACT);
    let closed = Matrix::from_rows(&[vec![0.0, 1.0], vec![1.0, 0.0]]);
    assert!(matches!(
        jackson::traffic(&[1.0, 0.0], &closed),
        Err(Domain::Singular { .. })
    ));
    let growing = Matrix::from_rows(&[vec![0.0, 1.0], vec![1.5, 0.0]]);
    assert!(matches!(
        jackson::traffic(&[1.0, 0.0], &growing),
        Err(Domain::Singular { .. })
    ));
}

#[test]
fn v15_retries() {
    let q = retry::retried(30.0, 10.0, 4, 0.2, &[0.5, 1.0, 2.0]).unwrap();
    let mut t = Table::default();
    t.relative("V15 attempts", q.attempts, 1.248, EXACT);
    t.relative("V15 ρ", q.station.rho(), 0.936, EXACT);
    t.relative("V15 W per visit", q.station.w(), 0.4366733937, EXACT);
    t.relative("V15 dead", q.dead, 0.0016, EXACT);
    t.relative("V15 ART", q.art, 0.7009683954, EXACT);
    t.relative(
        "V15 without failures",
        mmc::mmc(30.0, 10.0, 4).unwrap().w(),
        0.1509433962,
        EXACT,
    );
}

#[test]
fn v16_life_cycle() {
    // G, T, H, B → Consumed, Dead, X.
    let q = Matrix::from_rows(&[
        vec![0.0, 0.999, 0.0, 0.0],
        vec![0.0, 0.0, 0.995, 0.005],
        vec![0.0, 0.0, 0.0, 0.08],
        vec![0.0, 0.9, 0.0, 0.0],
    ]);
    let r = Matrix::from_rows(&[
        vec![0.0, 0.0, 0.001],
        vec![0.0, 0.0, 0.0],
        vec![0.92, 0.0, 0.0],
        vec![0.0, 0.1, 0.0],
    ]);
    let chain = lifecycle::absorbing(&q, &r).unwrap();
    let mut t = Table::default();
    for (j, want) in [0.989851925616, 0.009148074384, 0.001]
        .into_iter()
        .enumerate()
    {
        t.relative(&format!("V16 B{j}"), chain.absorbed.at(0, j), want, EXACT);
    }
    for (j, want) in [1.0, 1.0813326695, 1.0759260061, 0.0914807438]
        .into_iter()
        .enumerate()
    {
        t.relative(
            &format!("V16 visits {j}"),
            chain.visits.at(0, j),
            want,
            EXACT,
        );
    }
    t.relative("V16 steps", chain.steps[0], 3.248739419, EXACT);
    t.relative("V16 variance", chain.steps_variance[0], 0.7889457748, EXACT);
    let stay = [0.001, 0.01, 0.1, 1.0];
    let parts: f64 = (0..3)
        .map(|j| chain.absorbed.at(0, j) * chain.time_given(&stay, j)[0])
        .sum();
    t.relative(
        "times given the end add up",
        parts,
        chain.time(&stay)[0],
        EXACT,
    );
    let looping = Matrix::from_rows(&[vec![0.0, 1.0], vec![1.0, 0.0]]);
    assert!(lifecycle::absorbing(&looping, &Matrix::zeros(2, 1)).is_err());
}

#[test]
fn v20_v33_fork_join() {
    let mut t = Table::default();
    t.relative(
        "V20 K=2 ρ=.9",
        fork_join::fork_join_2(0.9, 1.0).unwrap(),
        13.875,
        EXACT,
    );
    for (k, rho, want, digits) in [
        (4, 0.8, 8.930, 0.0005),
        (8, 0.8, 11.03, 0.005),
        (16, 0.5, 5.824, 0.0005),
    ] {
        let got = fork_join::nelson_tantawi(k, rho, 1.0).unwrap();
        t.absolute(&format!("V20 Nelson-Tantawi K={k}"), got, want, digits);
    }
    let stations = [
        mmc::mmc(50.0, 40.0, 2).unwrap(),
        mmc::mmc(50.0, 10.0, 8).unwrap(),
        mmc::mmc(50.0, 80.0, 1).unwrap(),
    ];
    for (q, w) in stations
        .iter()
        .zip([0.04102564103, 0.1055755502, 0.03333333333])
    {
        t.relative("V33 W", q.w(), w, EXACT);
    }
    let f: Vec<_> = stations
        .iter()
        .map(|q| move |t: f64| q.response_tail(t))
        .collect();
    let tails: Vec<&dyn Fn(f64) -> f64> = f.iter().map(|f| f as _).collect();
    t.relative(
        "V33 E[max]",
        fork_join::max_mean(&tails, 0.1),
        0.1211102409,
        EXACT,
    );
    let p99 = fork_join::max_quantile(&tails, 0.99, 0.1).unwrap();
    t.relative("V33 T99", p99, 0.4685709769, EXACT);
    // Without queueing, n equal exponential branches take H_n/μ.
    let e = |t: f64| (-t).exp();
    let six: Vec<&dyn Fn(f64) -> f64> = vec![&e; 6];
    t.relative(
        "H_6",
        fork_join::max_mean(&six, 1.0),
        fork_join::harmonic(6),
        EXACT,
    );
}

#[test]
fn v25_blocking() {
    let q = tandem::tandem(0.7, 1.0, 1.0, 5).unwrap();
    let mut t = Table::default();
    t.relative("V25 T", q.t, 7.346777374, CHAIN);
    t.relative("V25 time blocked", q.time_blocked, 0.05648054916, CHAIN);
    t.absolute("V25 jobs blocked", q.jobs_blocked, 0.080686, 5e-7);
    let infinite = 2.0 * mm1::mm1(0.7, 1.0).unwrap().w();
    t.relative("V25 infinite buffer", infinite, 6.6667, 1e-5);
    for (b, x) in [(2, 0.75), (5, 0.857), (10, 0.917)] {
        let got = tandem::tandem_capacity(1.0, 1.0, b).unwrap();
        t.absolute(&format!("3.8 saturation B={b}"), got, x, 0.0005);
    }
}

#[test]
fn v27_power_of_choices() {
    let mut t = Table::default();
    for (rho, d, want) in [
        (0.9, 1, 10.0),
        (0.9, 2, 2.614057377),
        (0.9, 3, 2.027855969),
        (0.95, 2, 3.383046003),
    ] {
        let got = balance::supermarket(rho, d).unwrap();
        t.relative(&format!("V27 ρ={rho} d={d}"), got, want, EXACT);
    }
}

#[test]
fn v31_retry_fold() {
    let fold = retry::retry_fold(100.0, 0.1, 4).unwrap();
    let mut t = Table::default();
    t.relative("V31 fold", fold.lambda, 69.37173709, EXACT);
    t.absolute("V31 effective", fold.effective, 78.27, 0.005);
    t.relative("V31 bad branch from", fold.metastable_from, 25.0, EXACT);
    let branches = retry::retry_branches(60.0, 100.0, 0.1, 4).unwrap();
    assert_eq!(
        branches.len(),
        3,
        "good, unstable and collapsed: {branches:?}"
    );
    assert_eq!(retry::retry_branches(20.0, 100.0, 0.1, 4).unwrap().len(), 1);
}

#[test]
fn v32_qna() {
    let node = |gamma, ca2, es, cs2| qna::Node {
        gamma,
        ca2,
        es,
        cs2,
        c: 1,
    };
    let nodes = [
        node(1.0, 4.0, 0.7, 0.5),
        node(0.0, 1.0, 1.0, 1.0),
        node(0.0, 1.0, 0.85, 2.0),
    ];
    let p = Matrix::from_rows(&[
        vec![0.0, 0.6, 0.4],
        vec![0.0, 0.0, 1.0],
        vec![0.0, 0.0, 0.0],
    ]);
    let flows = qna::qna(&nodes, &p).unwrap();
    let mut t = Table::default();
    let rows = [(4.0, 3.675), (1.771, 2.07825), (1.46318409, 8.34050169)];
    for (i, (flow, (ca2, wq))) in flows.iter().zip(rows).enumerate() {
        t.relative(&format!("V32 ca²{i}"), flow.ca2, ca2, EXACT);
        t.relative(&format!("V32 Wq{i}"), flow.wq, wq, EXACT);
    }
    let art: f64 = flows
        .iter()
        .zip(&nodes)
        .map(|(f, n)| f.lambda * (f.wq + n.es))
        .sum();
    t.relative("V32 ART", art, 15.41245, 1e-6);
    // Immediate feedback: M/M/1 with feedback .5 is M/M/1 at twice the rate, exactly.
    let back = Matrix::from_rows(&[vec![0.5]]);
    let flow = qna::qna(
        &[qna::Node {
            gamma: 0.4,
            ca2: 1.0,
            es: 1.0,
            cs2: 1.0,
            c: 1,
        }],
        &back,
    );
    let want = mm1::mm1(0.8, 1.0).unwrap().wq();
    t.relative("feedback", flow.unwrap()[0].wq, want, EXACT);
    assert!(Dist::Exp { mean: 1.0 }.is_light_tailed());
}
