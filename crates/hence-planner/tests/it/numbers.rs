//! The numerical ground, and the refusals of the formulas.

use hence_planner::error::Domain;
use hence_planner::numeric::matrix::Matrix;
use hence_planner::numeric::{elementary, quadrature, root};
use hence_planner::phase_type::Ph;
use hence_planner::service::Dist;
use hence_planner::tail::{self, WaitTail};
use hence_planner::{erlang_a, gm1, mg1, mm1, mmc, mmck, modulated, retry, srpt, tandem};
use proptest::prelude::*;

use crate::table::{EXACT, Table};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..<_>::default() })]

    #[test]
    fn logarithm_and_exponential_are_right(x in -700.0_f64..700.0) {
        let e = elementary::exp(x);
        prop_assert!((e / x.exp() - 1.0).abs() < 4e-16, "exp {x}");
        let back = elementary::ln(e);
        prop_assert!((back - x).abs() <= 4e-16 * x.abs().max(1.0), "ln exp {x} = {back}");
    }

    #[test]
    fn systems_are_solved(entries in prop::collection::vec(-1.0_f64..1.0, 36), x in prop::collection::vec(-5.0_f64..5.0, 6)) {
        let mut m = Matrix::from_rows(&entries.chunks(6).map(<[f64]>::to_vec).collect::<Vec<_>>());
        for i in 0..6 {
            m.add_to(i, i, 7.0);
        }
        let solved = m.solve_vec(&m.apply(&x)).unwrap();
        for (a, b) in solved.iter().zip(&x) {
            prop_assert!((a - b).abs() < 1e-12);
        }
        let gap = m.times(&m.inverse().unwrap()).plus(&Matrix::identity(6), -1.0).max_abs();
        prop_assert!(gap < 1e-13);
    }

    /// Two moments go in and come out.
    #[test]
    fn phase_type_fit_keeps_its_moments(mean in 0.001_f64..100.0, scv in 0.02_f64..20.0) {
        let ph = Ph::from_two_moments(mean, scv).unwrap();
        let m = ph.moment(1).unwrap();
        prop_assert!((m / mean - 1.0).abs() < 1e-9);
        let got = ph.moment(2).unwrap() / (m * m) - 1.0;
        prop_assert!((got / scv - 1.0).abs() < 1e-6, "scv {scv} became {got}");
    }

    /// M/M/c lies between one fast worker and infinitely many.
    #[test]
    fn mmc_is_monotone(c in 1_u32..200, rho in 0.05_f64..0.98) {
        let lambda = rho * f64::from(c);
        let (q, more) = (mmc::mmc(lambda, 1.0, c).unwrap(), mmc::mmc(lambda, 1.0, c + 1).unwrap());
        prop_assert!(more.wq() < q.wq());
        prop_assert!(q.w() >= 1.0);
        prop_assert!((q.l() - lambda * q.w()).abs() < 1e-9 * q.l());
        let t = q.response_quantile(0.99).unwrap();
        prop_assert!((q.response_tail(t) - 0.01).abs() < 1e-9);
    }
}

#[test]
fn roots_and_integrals() {
    let mut t = Table::default();
    let got = root::brent(|x| x.cos() - x, 0.0, 1.0).unwrap();
    t.relative("cos x = x", got, 0.739_085_133_215_160_6, 1e-14);
    assert!(root::brent(|x| x * x + 1.0, -1.0, 1.0).is_err());
    t.relative(
        "∫ sin",
        quadrature::simpson(&f64::sin, 0.0, 3.0, 1e-12),
        1.0 - 3.0_f64.cos(),
        1e-11,
    );
    assert!(
        root::quantile(|_| 0.5, 0.1, 1.0).is_err(),
        "a tail that never falls"
    );
    let singular = Matrix::from_rows(&[vec![1.0, 2.0], vec![2.0, 4.0]]);
    assert!(matches!(singular.inverse(), Err(Domain::Singular { .. })));
}

#[test]
fn tails() {
    let mut t = Table::default();
    let eta = tail::decay_rate(&Dist::Exp { mean: 0.125 }, &Dist::Exp { mean: 1.0 }, 10).unwrap();
    t.relative("3.6 M/M/c decays at cμ-λ", eta, 2.0, EXACT);
    let h2 = Dist::balanced_h2(1.0, 4.0);
    let q = mg1::mg1(0.7, &h2).unwrap();
    let acw = WaitTail::from_decay(mg1::decay_rate(0.7, &h2).unwrap(), q.wq).unwrap();
    t.absolute(
        "3.6 Abate-Choudhury-Whitt on M/H2/1",
        acw.quantile(0.99),
        40.66,
        0.005,
    );
    let cheap = WaitTail::from_two_moments(0.7, q.wq).unwrap();
    t.absolute(
        "3.6 two moments on M/H2/1",
        cheap.quantile(0.99),
        35.4,
        0.05,
    );
    // For M/M/c the wait is an atom and an exponential, so the convolution is exact.
    let mm = mmc::mmc(8.0, 1.0, 10).unwrap();
    let wait = WaitTail {
        p: mm.p_wait,
        rate: mm.theta(),
    };
    let got = wait
        .response_quantile(&Dist::Exp { mean: 1.0 }, 0.99)
        .unwrap();
    t.relative("convolved response of M/M/c", got, 4.946111328, 2e-3);
    let heavy = Dist::Lomax {
        alpha: 1.5,
        mean: 1.0,
    };
    assert!(matches!(
        mg1::decay_rate(0.5, &heavy),
        Err(Domain::Undefined { .. })
    ));
    assert!(mg1::mg1(0.5, &heavy).unwrap().wq.is_infinite());
}

#[test]
fn transforms_and_tails_of_laws() {
    let mut t = Table::default();
    for (name, dist) in [
        ("exp", Dist::Exp { mean: 2.0 }),
        ("erlang", Dist::Erlang { k: 3, mean: 2.0 }),
        ("h2", Dist::balanced_h2(2.0, 5.0)),
        (
            "lognormal",
            Dist::LogNormal {
                mean: 2.0,
                scv: 0.8,
            },
        ),
        (
            "lomax",
            Dist::Lomax {
                alpha: 4.5,
                mean: 2.0,
            },
        ),
    ] {
        // -d/ds of the transform at 0 is the mean; the tail integrates to it.
        let slope = (1.0 - dist.laplace(1e-5)) / 1e-5;
        t.relative(&format!("{name}: slope of the transform"), slope, 2.0, 1e-3);
        let area = quadrature::simpson(&|x| dist.tail(x), 0.0, 400.0, 1e-9);
        t.relative(&format!("{name}: area under the tail"), area, 2.0, 1e-3);
        let median = dist.quantile(0.5).unwrap();
        t.relative(&format!("{name}: median"), dist.tail(median), 0.5, 1e-9);
        let step = 1e-5;
        let slope = (dist.tail(1.0 - step) - dist.tail(1.0 + step)) / (2.0 * step);
        t.relative(
            &format!("{name}: density"),
            slope,
            dist.density(1.0).unwrap(),
            1e-5,
        );
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let exp = Dist::Exp { mean: 1.0 };
    assert_eq!(mm1::mm1(1.0, 1.0), Err(Domain::Unstable { rho: 1.0 }));
    assert!(mmc::mmc(1.0, 1.0, 0).is_err());
    assert!(
        mmck::mmck(1.0, 1.0, 4, 3).is_err(),
        "fewer places than workers"
    );
    assert!(erlang_a::erlang_a(1.0, 1.0, 1, 0.0).is_err());
    assert!(gm1::gm1(&exp, 1.0).is_err(), "ρ = 1");
    assert!(
        srpt::srpt(0.5, &Dist::Det { mean: 1.0 }).is_err(),
        "no density"
    );
    assert!(
        modulated::mph2_c(0.5, &Ph::exponential(1.0), 1).is_err(),
        "order 1"
    );
    assert!(
        retry::retried(1.0, 1.0, 1, 0.5, &[1.0]).is_err(),
        "retries saturate it"
    );
    let capacity = tandem::tandem_capacity(1.0, 1.0, 5).unwrap();
    assert!(tandem::tandem(capacity, 1.0, 1.0, 5).is_err());
    assert!(f64::is_finite(
        tandem::tandem(0.98 * capacity, 1.0, 1.0, 5).unwrap().t
    ));
    let said = Domain::Unstable { rho: 1.25 }.to_string();
    assert_eq!(said, "unstable: utilisation 1.2500 is not below 1");
}
