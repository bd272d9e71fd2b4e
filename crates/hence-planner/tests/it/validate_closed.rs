//! Closed networks and scalability: V17 to V19, V28, V30.

use hence_planner::network::mva::{self, ClosedClass};
use hence_planner::{mmcn, transient, usl};

use crate::table::{EXACT, Table};

#[test]
fn v17_mva() {
    let mut t = Table::default();
    let d = [0.04, 0.03, 0.06];
    for (n, x, r) in [
        (1, 0.8849557522, 0.13),
        (3, 2.628757197, 0.1412236945),
        (10, 8.341122348, 0.1988794292),
        (50, 16.6665943, 2.000013026),
    ] {
        let flow = mva::mva(&d, 1.0, n).unwrap();
        t.relative(&format!("V17 X N={n}"), flow.x, x, EXACT);
        t.relative(&format!("V17 R N={n}"), flow.r, r, EXACT);
        let (bound, _) = mva::bounds(&d, 1.0, n).unwrap();
        assert!(
            flow.x <= bound,
            "N={n}: {} is above the bound {bound}",
            flow.x
        );
    }
    let flow = mva::mva(&[0.605, 2.1, 1.35], 15.0, 3).unwrap();
    t.relative("V17b X", flow.x, 0.1515164923, EXACT);
    t.relative("V17b R", flow.r, 4.799824782, EXACT);
}

#[test]
fn v18_multi_class() {
    let classes = [
        ClosedClass {
            demands: vec![0.105, 0.18, 0.0],
            z: 60.0,
            n: 25,
        },
        ClosedClass {
            demands: vec![0.375, 0.48, 0.24],
            z: 0.0,
            n: 3,
        },
    ];
    let net = mva::mva_multi(&classes).unwrap();
    let mut t = Table::default();
    assert!(net.exact);
    for (flow, (x, r)) in net
        .classes
        .iter()
        .zip([(0.4118221766, 0.705812895), (1.5005154598, 1.9993129564)])
    {
        t.relative("V18 X", flow.x, x, EXACT);
        t.relative("V18 R", flow.r, r, EXACT);
    }
    // A lattice too large to walk is approximated, and says so; N = 3 keeps it comparable.
    let many: Vec<ClosedClass> = (0..11)
        .map(|_| ClosedClass {
            demands: vec![0.1, 0.2],
            z: 10.0,
            n: 3,
        })
        .collect();
    let approximate = mva::mva_multi(&many).unwrap();
    assert!(!approximate.exact);
    let same = mva::mva(&[0.1, 0.2], 10.0, 33).unwrap().x / 11.0;
    t.relative(
        "Bard-Schweitzer against one class",
        approximate.classes[0].x,
        same,
        0.02,
    );
}

#[test]
fn v19_finite_source() {
    let mut t = Table::default();
    let q = mmcn::mmc_closed(50, 1.0, 0.1, 4).unwrap();
    t.relative("V19 X", q.x, 38.84982329, EXACT);
    t.relative("V19 R", q.r, 0.287007141, EXACT);
    let flow = mva::closed_multi_server(&[(0.1, 4)], 1.0, 50).unwrap();
    t.relative("V19 X by convolution", flow.x, 38.84982329, EXACT);
    t.relative("V19 Q by convolution", flow.q[0], q.l, EXACT);
    let q = mmcn::mmc_closed(20, 5.0, 0.5, 1).unwrap();
    t.relative("V19 X, one worker", q.x, 1.9962619, EXACT);
    t.relative("V19 R, one worker", q.r, 5.018725497, EXACT);
    let flow = mva::closed_multi_server(&[(0.04, 1), (0.03, 1), (0.06, 1)], 1.0, 10).unwrap();
    t.relative("V17 by convolution", flow.x, 8.341122348, EXACT);
}

#[test]
fn v28_scalability() {
    let law = usl::Usl {
        gamma: 1.0,
        sigma: 0.03,
        kappa: 0.0004,
    };
    let mut t = Table::default();
    t.relative("V28 N*", law.peak(), 49.24428901, EXACT);
    t.relative("V28 C(10)", law.capacity(10.0), 7.656967841, EXACT);
    t.relative("V28 C(32)", law.capacity(32.0), 13.75279354, EXACT);
    t.relative("V28 peak", law.capacity(law.peak()), 14.49371332, EXACT);
    let points = [
        (1.0, 955.16),
        (5.0, 4315.54),
        (10.0, 7867.61),
        (15.0, 9645.37),
        (20.0, 10798.52),
        (25.0, 12075.41),
        (30.0, 12118.04),
    ];
    let fit = usl::usl_fit(&points).unwrap();
    // The row's optimiser stops at a relative change of 1e-8 in the SSE: parameters to 1e-5.
    t.relative("V28b γ", fit.law.gamma, 1001.102, 1e-5);
    t.relative("V28b σ", fit.law.sigma, 0.02734610, 1e-5);
    t.relative("V28b κ", fit.law.kappa, 7.70358e-4, 1e-5);
    t.relative("V28b N*", fit.law.peak(), 35.533, 2e-5);
    t.relative("V28b X(100)", fit.law.throughput(100.0), 8832.886, 1e-5);
    t.relative("V28b SSE", fit.sse, 228_431.864, 1e-8);
    for (se, want) in fit.se.into_iter().zip([80.0, 0.0127, 2.5e-4]) {
        t.relative("V28b standard error", se, want, 0.05);
    }
    assert!(
        fit.throughput(61.0).is_err(),
        "no extrapolation beyond twice the largest level"
    );
    assert!(
        usl::usl_fit(&points[..5]).is_err(),
        "five levels are too few"
    );
}

#[test]
fn v30_drain() {
    let span = transient::drain(100_000.0, 300.0, 400.0, 1.0, 1.0).unwrap();
    let mut t = Table::default();
    t.relative("V30 drain", span.mean, 1000.0, EXACT);
    // Variance of the inverse Gaussian: N₀(λ+cμ)/(cμ-λ)³ = 70 s².
    t.relative(
        "V30 band",
        span.hi - span.mean,
        1.96 * 70.0_f64.sqrt(),
        EXACT,
    );
    assert!(transient::drain(1.0, 400.0, 400.0, 1.0, 1.0).is_err());
}
