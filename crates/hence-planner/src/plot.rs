//! Line charts as small SVG files: hockey stick, staircase, calibration.
//!
//! Coordinates are rounded to a tenth of a pixel, so the same figures give the same bytes.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// Title.
    pub title: String,
    /// Label of the horizontal axis, with its unit.
    pub x: String,
    /// Label of the vertical axis, with its unit.
    pub y: String,
    /// Whether the vertical axis is logarithmic.
    pub log_y: bool,
    /// The lines.
    pub lines: Vec<Line>,
    /// Vertical marks: position and label.
    pub marks: Vec<(f64, String)>,
}

/// A line of a chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Name, shown at its right end.
    pub name: String,
    /// Points; those that are not finite (or, on a logarithmic axis, not positive) are left out.
    pub points: Vec<(f64, f64)>,
    /// Drawn as steps.
    pub steps: bool,
    /// Drawn dashed, for limits and targets.
    pub dashed: bool,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 96.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 48.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df"];

struct Scale {
    x: (f64, f64),
    y: (f64, f64),
    log: bool,
}

impl Scale {
    fn of(chart: &Chart) -> Self {
        let log = chart.log_y;
        let shown = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite() && (!log || p.1 > 0.0);
        let points: Vec<(f64, f64)> = chart
            .lines
            .iter()
            .flat_map(|l| l.points.iter().filter(shown))
            .copied()
            .collect();
        let range = |f: &dyn Fn(&(f64, f64)) -> f64| {
            let lo = points.iter().map(f).fold(f64::INFINITY, f64::min);
            let hi = points.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
            if lo < hi {
                (lo, hi)
            } else {
                (lo - 0.5, lo + 0.5)
            }
        };
        let y = range(&|p| if log { p.1.log10() } else { p.1 });
        let y = if log {
            (y.0.floor(), y.1.ceil())
        } else {
            (y.0.min(0.0), y.1 * 1.05)
        };
        Self {
            x: range(&|p| p.0),
            y,
            log,
        }
    }

    fn x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        let y = if self.log { y.log10() } else { y };
        HEIGHT - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Chart {
    /// The chart as SVG.
    pub fn to_svg(&self) -> String {
        let scale = Scale::of(self);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        text(
            &mut svg,
            (WIDTH - RIGHT + LEFT) / 2.0,
            20.0,
            "middle",
            &self.title,
        );
        text(
            &mut svg,
            (WIDTH - RIGHT + LEFT) / 2.0,
            HEIGHT - 10.0,
            "middle",
            &self.x,
        );
        text(&mut svg, 8.0, 28.0, "start", &self.y);
        self.axes(&mut svg, &scale);
        for (at, label) in &self.marks {
            let x = scale.x(*at);
            line(
                &mut svg,
                [x, TOP, x, HEIGHT - BOTTOM],
                "#999999\" stroke-dasharray=\"2 3",
            );
            text(&mut svg, x - 4.0, TOP + 12.0, "end", label);
        }
        for (series, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            series.draw(&mut svg, &scale, colour);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String, scale: &Scale) {
        let (x0, y0) = (LEFT, HEIGHT - BOTTOM);
        line(svg, [x0, y0, WIDTH - RIGHT, y0], "#333333");
        line(svg, [x0, TOP, x0, y0], "#333333");
        for value in ticks(scale.x) {
            let x = scale.x(value);
            line(svg, [x, y0, x, y0 + 4.0], "#333333");
            text(svg, x, y0 + 18.0, "middle", &number(value));
        }
        let values: Vec<f64> = if scale.log {
            (scale.y.0 as i32..=scale.y.1 as i32)
                .map(|k| 10.0_f64.powi(k))
                .collect()
        } else {
            ticks(scale.y)
        };
        for value in values {
            let y = scale.y(value);
            line(svg, [x0, y, WIDTH - RIGHT, y], "#e6e6e6");
            text(svg, x0 - 6.0, y + 4.0, "end", &number(value));
        }
    }
}

impl Line {
    fn draw(&self, svg: &mut String, scale: &Scale, colour: &str) {
        let mut path = String::new();
        let mut last: Option<(f64, f64)> = None;
        for &(px, py) in &self.points {
            if !px.is_finite() || !py.is_finite() || (scale.log && py <= 0.0) {
                continue;
            }
            let (x, y) = (scale.x(px), scale.y(py));
            match last {
                None => {
                    let _ = write!(path, "M{x:.1} {y:.1}");
                }
                Some(_) if self.steps => {
                    let _ = write!(path, "H{x:.1}V{y:.1}");
                }
                Some(_) => {
                    let _ = write!(path, "L{x:.1} {y:.1}");
                }
            }
            last = Some((x, y));
        }
        let dash = if self.dashed {
            " stroke-dasharray=\"6 4\""
        } else {
            ""
        };
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>"
        );
        if let Some((x, y)) = last {
            text(svg, x + 6.0, y + 4.0, "start", &self.name);
        }
    }
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], stroke: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// Round values inside a range, about six.
fn ticks((lo, hi): (f64, f64)) -> Vec<f64> {
    let rough = (hi - lo) / 6.0;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|s| s * power)
        .find(|s| *s >= rough);
    let step = step.unwrap_or(power);
    let (first, last) = ((lo / step).ceil() as i64, (hi / step).floor() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

fn number(value: f64) -> String {
    if value == 0.0 || (0.001..1e6).contains(&value.abs()) {
        format!("{}", (value * 1e6).round() / 1e6)
    } else {
        format!("{value:.0e}")
    }
}
