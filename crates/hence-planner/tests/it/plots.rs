//! The plots of `docs/concepts/capacity.md` are what the code draws.
//!
//! `HENCE_UPDATE=1 cargo test -p hence-planner plots` writes them anew.

use std::path::Path;

use hence_planner::curve::calibration_chart;
use hence_planner::mmc::mmc;
use hence_planner::plot::{Chart, Line};
use hence_planner::retry::retried;

fn line(name: &str, points: Vec<(f64, f64)>) -> Line {
    Line {
        name: name.into(),
        points,
        ..Line::default()
    }
}

fn hockey_stick() -> Chart {
    let loads = || (2..=119).map(f64::from);
    let quantile = |p: f64| {
        let at = |l: f64| {
            (
                l,
                1000.0 * mmc(l, 10.0, 12).unwrap().response_quantile(p).unwrap(),
            )
        };
        loads().map(at).filter(|p| p.1 < 10_000.0).collect()
    };
    let storm = loads()
        .filter_map(|l| {
            let q = retried(l, 10.0, 12, 0.2, &[0.5, 1.0, 2.0]).ok()?;
            Some((l, 1000.0 * q.station.response_quantile(0.99).ok()?))
        })
        .filter(|p| p.1 < 10_000.0)
        .collect();
    Chart {
        title: "12 workers, 100 ms of work each: response time against load".into(),
        x: "new events per second".into(),
        y: "ms".into(),
        log_y: true,
        lines: vec![
            line("p50", quantile(0.5)),
            line("p99", quantile(0.99)),
            line("p99, 20 % fail", storm),
        ],
        marks: vec![
            (96.15, "saturation with retries".into()),
            (120.0, "saturation".into()),
        ],
        ..Chart::default()
    }
}

fn staircase() -> Chart {
    let p99 = |c: u32| {
        mmc(100.0, 10.0, c)
            .unwrap()
            .response_quantile(0.99)
            .unwrap()
    };
    let points = (11..=20).map(|c| (f64::from(c), 1000.0 * p99(c))).collect();
    let target = Line {
        dashed: true,
        ..line("target", vec![(11.0, 500.0), (20.0, 500.0)])
    };
    Chart {
        title: "100 events per second, 100 ms of work each: p99 against workers".into(),
        x: "workers".into(),
        y: "ms".into(),
        lines: vec![
            Line {
                steps: true,
                ..line("p99", points)
            },
            target,
        ],
        marks: vec![(12.0, "12".into())],
        ..Chart::default()
    }
}

#[test]
fn committed_plots_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/concepts");
    for (name, chart) in [
        ("capacity-hockey-stick.svg", hockey_stick()),
        ("capacity-staircase.svg", staircase()),
    ] {
        let (path, svg) = (folder.join(name), chart.to_svg());
        assert!(svg.matches("<path").count() >= 2 && svg.ends_with("</svg>\n"));
        if std::env::var("HENCE_UPDATE").is_ok() {
            std::fs::write(&path, &svg).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == svg,
            "{name} is not what the code draws: run with HENCE_UPDATE=1"
        );
    }
}

#[test]
fn a_calibration_has_a_dot_for_each_pair() {
    let pairs = |n: u32| (1..=n).map(|i| (0.011 * f64::from(i), 0.01 * f64::from(i)));
    let svg = calibration_chart(&[("mean", pairs(5).collect()), ("p99", pairs(3).collect())]);
    let svg = svg.to_svg();
    // One for each pair, and one beside each name.
    assert_eq!(svg.matches("<circle").count(), 5 + 3 + 2, "{svg}");
    assert_eq!(
        svg.matches("<path").count(),
        3,
        "equal, and 25 % on both sides"
    );
    let empty = calibration_chart(&[]).to_svg();
    assert!(!empty.contains("NaN") && !empty.contains("inf"), "{empty}");
}

#[test]
fn a_chart_survives_strange_points() {
    let strange = vec![
        (0.0, f64::NAN),
        (1.0, -1.0),
        (2.0, 3.0),
        (3.0, f64::INFINITY),
    ];
    let chart = Chart {
        title: "a < b & c".into(),
        log_y: true,
        lines: vec![line("x", strange), line("empty", Vec::new())],
        ..Chart::default()
    };
    let svg = chart.to_svg();
    assert!(svg.contains("a &lt; b &amp; c"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}
