//! No input whatever makes a formula panic or answer with what is no number.
//!
//! Every public formula is asked with arguments from the whole range of floating point and, so
//! that the refusals do not hide what lies behind them, with arguments of every plausible size.

use hence_planner::arrivals::{Arrivals, BatchSize};
use hence_planner::control;
use hence_planner::error::Domain;
use hence_planner::lifecycle::{self, Chances};
use hence_planner::network::{jackson, mva, qna};
use hence_planner::numeric::matrix::Matrix;
use hence_planner::phase_type::Ph;
use hence_planner::priority::{self, Class};
use hence_planner::service::Dist;
use hence_planner::tail::{self, WaitTail};
use hence_planner::{
    balance, batch, bulk, erlang_a, fork_join, ggc, gm1, lifo, mdc, mg1, mm1, mmc, mmck, mmcn,
    modulated, retry, sharing, sizing, srpt, tandem, transient, usl,
};
use proptest::prelude::*;

use Sort::{Any, Finite};

/// What a formula may answer with.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    /// A number ≥ 0.
    Finite,
    /// A number ≥ 0 or infinity, where the true value is infinite.
    Any,
}

/// The answers of formulas that are wrong whatever the question was.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn number(&mut self, name: &str, sort: Sort, v: f64) {
        if !(v >= 0.0 && (sort == Any || v.is_finite())) {
            self.0.push(format!("{name} = {v}"));
        }
    }

    fn numbers<E>(&mut self, name: &str, sort: Sort, r: Result<impl IntoIterator<Item = f64>, E>) {
        if let Ok(values) = r {
            for (i, v) in values.into_iter().enumerate() {
                self.number(&format!("{name}[{i}]"), sort, v);
            }
        }
    }

    fn one<E>(&mut self, name: &str, sort: Sort, r: Result<f64, E>) {
        self.numbers(name, sort, r.map(Some));
    }
}

/// Four arguments of one question, with a number of workers and a probability.
#[derive(Debug, Clone, Copy)]
struct Question {
    a: f64,
    b: f64,
    c: u32,
    d: f64,
    e: f64,
    p: f64,
}

/// Any float, a plausible size, or a small whole number, which makes ties.
fn argument() -> impl Strategy<Value = f64> {
    prop_oneof![
        1 => any::<f64>(),
        3 => (-31.0_f64..31.0).prop_map(|x| 10.0_f64.powf(x)),
        5 => (-4.0_f64..4.0).prop_map(|x| 10.0_f64.powf(x)),
        2 => (0_i32..12).prop_map(f64::from),
        2 => (1_i32..1000).prop_map(|n| 1.0 - 1.0 / f64::from(n).powi(5)),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    let p = prop_oneof![4 => 0.0_f64..1.0, 1 => Just(0.0), 1 => Just(1.0), 1 => argument()];
    let c = prop_oneof![9 => 0_u32..50, 1 => any::<u32>().prop_map(|c| c >> (c % 32))];
    (argument(), argument(), c, argument(), argument(), p).prop_map(|(a, b, c, d, e, p)| Question {
        a,
        b,
        c,
        d,
        e,
        p,
    })
}

/// What takes microseconds.
fn quick(Question { a, b, c, d, e, p }: Question) -> Wrong {
    let mut w = Wrong::default();
    let c = c % 1000; // what costs a step for each worker is asked for more in `many_workers`
    let level = p.clamp(0.0, 0.999_999);
    let t = if e >= 0.0 && e.is_finite() { e } else { 1.0 };
    if let Ok(q) = mm1::mm1(a, b) {
        let figures = [q.rho(), q.w(), q.wq(), q.l(), q.relaxation()];
        w.numbers("mm1", Finite, Ok::<_, Domain>(figures));
        w.number("mm1 response", Finite, q.response_quantile(level));
        w.number("mm1 wait", Finite, q.wait_quantile(level));
    }
    w.one("erlang_b", Finite, mmc::erlang_b(c, a));
    w.one("erlang_c", Finite, mmc::erlang_c(c, a));
    if let Ok(q) = mmc::mmc(a, b, c) {
        let figures = [q.rho(), q.w(), q.wq(), q.lq(), q.l(), q.theta(), q.p_wait];
        w.numbers("mmc", Finite, Ok::<_, Domain>(figures));
        w.number("mmc wait tail", Finite, q.wait_tail(t));
        w.number("mmc response tail", Finite, q.response_tail(t));
        w.number("mmc wait", Finite, q.wait_quantile(level));
        w.one("mmc response", Finite, q.response_quantile(level));
    }
    if let Ok(q) = mmck::mmck(a, b, c, c.saturating_add(20)) {
        let figures = [q.reject(), q.accepted(), q.l(), q.lq(), q.w()];
        w.numbers("mmck", Finite, Ok::<_, Domain>(figures));
        w.number("mmck tail", Finite, q.response_tail(t));
    }
    let closed = mmcn::mmc_closed(c, a, b, 3).map(|q| [q.x, q.r, q.l, q.rho]);
    w.numbers("mmc_closed", Finite, closed);
    w.one("whitt", Finite, ggc::gg_c_whitt93(a, b, c, d, e));
    w.one("allen", Finite, ggc::allen_cunneen(a, b, c, d, e));
    w.one("kingman", Finite, ggc::kingman_bound(a, b, d, e));
    let moments = mg1::mg1_moments(a, b, d).map(|q| [q.rho, q.wq, q.w()]);
    w.numbers("mg1_moments", Any, moments);
    w.one("bulk_joining", Finite, bulk::bulk_joining(a, b, c));
    w.one("bulk_closed", Finite, bulk::bulk_closed(a, b, c));
    w.one("group commit", Finite, bulk::group_commit_capacity(a, b, c));
    for size in [BatchSize::Fixed(c), BatchSize::Geometric(d)] {
        w.one("batch", Finite, batch::batch_arrivals(a, size, b));
    }
    w.one("supermarket", Finite, balance::supermarket(p, c));
    w.one("ps", Finite, sharing::ps(a, b));
    w.one("ps_given", Finite, sharing::ps_given(a, b, d));
    w.one("fork_join_2", Finite, fork_join::fork_join_2(a, b));
    w.one("tantawi", Finite, fork_join::nelson_tantawi(c, a, b));
    let retried = retry::retried(a, b, c, p, &[d, e]);
    let figures = retried.map(|r| [r.attempts, r.dead, r.art, r.capacity, r.station.w()]);
    w.numbers("retried", Finite, figures);
    w.one("retry_budget", Finite, control::retry_budget(a, b, c, p));
    let bounds = control::concurrency(a, b).map(|c| [c.least, c.initial, c.most].map(f64::from));
    w.numbers("concurrency", Finite, bounds);
    let drained = transient::drain(a, b, d, e, p).map(|s| [s.mean, s.lo, s.hi]);
    w.numbers("drain", Finite, drained);
    let full = transient::time_to_full(a, b, d).map(Option::into_iter);
    w.numbers("time_to_full", Finite, full);
    let classes = [(a, b, d), (b, e, 1.0)].map(|(lambda, es, cs2)| Class { lambda, es, cs2 });
    let flat = |r: Result<Vec<Option<f64>>, Domain>| r.map(|v| v.into_iter().flatten());
    w.numbers("cobham", Finite, flat(priority::cobham(&classes)));
    let preempted = flat(priority::preemptive_resume(&classes));
    w.numbers("preemptive", Finite, preempted);
    let waits = priority::mmc_non_preemptive(&[a, d], b, c);
    w.numbers("mmc_non_preemptive", Finite, waits);
    let times = priority::mmc_preemptive(&[a, d], b, c);
    w.numbers("mmc_preemptive", Finite, times);
    let life = lifecycle::life(p, a, &[b, d]);
    let figures = life.map(|l| [l.consumed, l.dead, l.attempts, l.time, l.time_to_consumed]);
    w.numbers("life", Any, figures);
    let chances = Chances {
        fail: p,
        reject: a,
        expire: b,
    };
    let fate = lifecycle::fate(chances, c).map(|f| [f.consumed, f.dead, f.expired, f.attempts]);
    w.numbers("fate", Finite, fate);
    let hits = (a.abs() as u64, b.abs() as u64);
    let interval = lifecycle::jeffreys(hits.0, hits.1).map(|(lo, hi)| [lo, hi]);
    w.numbers("jeffreys", Finite, interval);
    let demands = [a, b, d];
    w.numbers("mva", Finite, mva::mva(&demands, e, c).map(|f| [f.x, f.r]));
    w.numbers(
        "bounds",
        Finite,
        mva::bounds(&demands, e, c).map(|b| [b.0, b.1]),
    );
    let stations = demands.map(|d| (d, c % 7));
    let convolved = mva::closed_multi_server(&stations, e, c % 40).map(|f| [f.x, f.r]);
    w.numbers("closed_multi_server", Finite, convolved);
    let routes = Matrix::from_rows(&[vec![0.0, p], vec![0.3, 0.0]]);
    let open = jackson::jackson(&[a, 0.0], &routes, &[b, d], &[c, 2]).map(|j| j.art);
    w.one("jackson", Finite, open);
    let node = |gamma, es| qna::Node {
        gamma,
        ca2: d,
        es,
        cs2: e,
        c,
    };
    let flows = qna::qna(&[node(a, b), node(0.0, b)], &routes);
    let figures = flows.map(|f| f.into_iter().flat_map(|f| [f.lambda, f.ca2, f.wq, f.rho]));
    w.numbers("qna", Any, figures);
    if let Ok(tail) = WaitTail::from_two_moments(p, a) {
        w.number("two moments", Finite, tail.tail(t));
        w.number("two moments wait", Finite, tail.quantile(level));
    }
    if let Ok(tail) = WaitTail::from_decay(a, b) {
        w.number("decay", Finite, tail.tail(t));
        w.number("decay wait", Finite, tail.quantile(level));
    }
    w
}

/// The laws of a question, checked or not.
fn laws(Question { a, b, c, d, p, .. }: Question) -> Vec<Dist> {
    let mut laws = vec![
        Dist::Det { mean: a },
        Dist::Exp { mean: a },
        Dist::Erlang { k: c % 30, mean: a },
        Dist::Hyper2 {
            p,
            mean1: a,
            mean2: b,
        },
        Dist::LogNormal { mean: a, scv: d },
        Dist::Lomax { alpha: d, mean: a },
    ];
    laws.extend(Ph::from_two_moments(a, d.max(0.05)).map(Dist::Ph));
    laws
}

/// What takes milliseconds.
fn slow(q: Question) -> Wrong {
    let mut w = Wrong::default();
    let Question { a, b, c, d, e, p } = q;
    let level = p.clamp(0.0, 0.999_999);
    let t = if e >= 0.0 && e.is_finite() { e } else { 1.0 };
    for law in laws(q) {
        let name = format!("{law:?}");
        if law.check().is_err() {
            continue;
        }
        let k = |what: &str| format!("{name} {what}");
        w.number(&k("mean"), Finite, law.mean());
        w.number(&k("scv"), Any, law.scv());
        w.number(&k("third moment"), Any, law.moment(3));
        w.number(&k("tail"), Finite, law.tail(t));
        w.number(&k("transform"), Finite, law.laplace(t));
        w.one(&k("quantile"), Finite, law.quantile(level));
        if let Some(density) = law.density(t.max(1e-30)) {
            w.number(&k("density"), Finite, density);
        }
        let figures = mg1::mg1(b, &law).map(|q| [q.wq, q.wq2, q.w()]);
        w.numbers(&k("mg1"), Any, figures);
        let figures = lifo::lifo(b, &law).map(|q| [q.wq, q.wq2]);
        w.numbers(&k("lifo"), Any, figures);
        w.one(&k("mg1 decay"), Finite, mg1::decay_rate(b, &law));
        let exp = Dist::Exp { mean: d };
        w.one(&k("decay"), Finite, tail::decay_rate(&exp, &law, c));
        let figures = gm1::gm1(&law, b).map(|q| [q.sigma, q.w(), q.wq()]);
        w.numbers(&k("gm1"), Finite, figures);
    }
    let fold = retry::retry_fold(a, b, c).map(|f| [f.lambda, f.effective, f.metastable_from]);
    w.numbers("retry_fold", Finite, fold);
    w.numbers("branches", Finite, retry::retry_branches(a, b, d, c % 20));
    let gone = erlang_a::erlang_a(a, b, c % 1000, d);
    let figures = gone.map(|q| [q.abandon, q.wq, q.lq, q.l, q.p_wait]);
    w.numbers("erlang_a", Finite, figures);
    let size = control::queue_bound(a, b, c % 100, d, p).map(f64::from);
    w.one("queue_bound", Finite, size);
    let block = tandem::tandem(a, b, d, c % 12).map(|q| [q.t, q.time_blocked, q.jobs_blocked]);
    w.numbers("tandem", Finite, block);
    let burst = Arrivals::Mmpp2 {
        rate1: a,
        rate2: b,
        leave1: d,
        leave2: e,
    };
    let figures = modulated::mmpp_mc(&burst, t, c % 12).map(|q| [q.w, q.wq, q.p_wait]);
    w.numbers("mmpp_mc", Finite, figures);
    if burst.check().is_ok() {
        w.number("idc", Finite, burst.idc(t));
        w.number("idc limit", Finite, burst.idc_limit());
    }
    let law = Ph::hyper2(level, b, d);
    if (Dist::Ph(law.clone())).check().is_ok() && b > 0.0 && d > 0.0 {
        let figures = modulated::mph2_c(a, &law, c % 9).map(|q| [q.w, q.wq, q.p_wait]);
        w.numbers("mph2_c", Finite, figures);
        let times = mg1::mph1(a, &law).map(|q| [q.wait.tail(t), q.response.tail(t)]);
        w.numbers("mph1", Finite, times);
    }
    let rates = [a, b, d, a, b, d, a, b, e];
    let ahead = transient::holt(&rates, p).map(|f| [f.at(t).mean, f.at(t).lo, f.at(t).hi]);
    w.numbers("holt", Finite, ahead);
    let wait = sizing::workers_for_wait(a, b, d, p).map(f64::from);
    w.one("workers_for_wait", Finite, wait);
    let response = sizing::workers_for_response(a, b, d, p).map(f64::from);
    w.one("workers_for_response", Finite, response);
    let points: Vec<(f64, f64)> = (1..8)
        .map(|n| (f64::from(n) * a, b / (d + f64::from(n))))
        .collect();
    let fitted = usl::usl_fit(&points).map(|f| [f.law.gamma, f.law.sigma, f.law.kappa]);
    w.numbers("usl", Finite, fitted);
    w
}

/// What takes a second: integrals over a whole law, iterations over a whole chain.
fn slowest(q: Question) -> Wrong {
    let mut w = Wrong::default();
    let Question { a, b, c, .. } = q;
    // Near saturation the iteration of M/D/c takes seconds; the refusals are the same.
    if a * b < 0.9 * f64::from(c % 8) || a * b >= f64::from(c % 8) {
        let constant = mdc::mdc(a, b, c % 8).map(|q| [q.wq, q.p_wait]);
        w.numbers("mdc", Finite, constant);
    }
    for law in laws(q).into_iter().take(5) {
        w.one(&format!("srpt {law:?}"), Finite, srpt::srpt(b, &law));
    }
    w
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        cases: std::env::var("PROPTEST_CASES").map_or(cases, |_| ProptestConfig::default().cases),
        ..<_>::default()
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn formulas_never_panic(q in question()) {
        let wrong = quick(q).0;
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn slow_formulas_never_panic(q in question()) {
        let wrong = slow(q).0;
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }
}

proptest! {
    #![proptest_config(config(6))]

    #[test]
    fn slowest_formulas_never_panic(q in question()) {
        let wrong = slowest(q).0;
        prop_assert!(wrong.is_empty(), "{wrong:?}");
    }
}

/// What the search found once; each made a formula panic, loop for ever or answer with no number.
#[test]
fn what_was_found_stays_mended() {
    let q = |a, b, c, d, e, p| Question { a, b, c, d, e, p };
    let subnormal = q(
        6.016_241_980_127_45e-309,
        1.634_794_183_801_369e193,
        1,
        9.868_680_890_831_574e307,
        1.0,
        0.5,
    );
    let endless_beta = q(1e12, 1e14, 3, 1.0, 1.0, 0.5);
    let never_consumed = q(1_354.0, 9.0, 27, 0.04, 9.0, 1.0);
    let deep_overload = q(1.26e23, 5.5e-9, 44, 1e-4, 10.0, 1.0);
    let long_after = q(0.05, 0.28, 1, 10.0, 8e14, 0.9);
    let short_before = q(1.8e-4, 1.5e-22, 47, 69.0, 1.26e-308, 0.0);
    let nearly_all_think = q(1.0, 0.9, 27, 5.4e-30, 7.4e27, 0.6);
    let wait_of_nothing = q(5.1e-309, 0.0, 0, 0.0, 0.0, 1.0);
    let no_arrivals = q(0.0, 1_119.0, 39, 4e-10, 9.7, 0.25);
    for question in [
        subnormal,
        endless_beta,
        never_consumed,
        deep_overload,
        long_after,
        short_before,
        nearly_all_think,
        no_arrivals,
        wait_of_nothing,
    ] {
        assert_eq!(quick(question).0, Vec::<String>::new(), "{question:?}");
    }
    for question in [
        q(1.0, 0.9, 27, 5.4e-30, 7.4e27, 0.6), // a log-normal law that is a constant
        q(1.0, 0.0, 0, 2.2, 0.0, 0.0),         // a heavy tail that nobody meets
        q(0.999_999_999_999_992_3, 7.5e12, 2, 0.999_999_998, 0.0, 0.0), // digits eaten
        q(1e-4, 8.6e-30, 34, 7_319.0, 1.0, 0.88), // rates that are 10³³ apart
        q(0.001_96, 2.0, 44, 1_938.0, 3e52, 1.0), // a wait that cancels to below 0
    ] {
        assert_eq!(slow(question).0, Vec::<String>::new(), "{question:?}");
    }
}
