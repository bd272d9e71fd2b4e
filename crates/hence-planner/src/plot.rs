//! Charts as small SVG files: hockey stick, staircase, calibration.
//!
//! Coordinates are rounded to a tenth of a pixel, so the same figures give the same bytes.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chart {
    /// Title.
    pub title: String,
    /// Label of the horizontal axis, with its unit.
    pub x: String,
    /// Label of the vertical axis, with its unit.
    pub y: String,
    /// Whether the horizontal axis is logarithmic.
    pub log_x: bool,
    /// Whether the vertical axis is logarithmic.
    pub log_y: bool,
    /// The lines.
    pub lines: Vec<Line>,
    /// Vertical marks: position and label.
    pub marks: Vec<(f64, String)>,
}

/// A line of a chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Name, shown at its right end.
    pub name: String,
    /// Points; those that are not finite (or, on a logarithmic axis, not positive) are left out.
    pub points: Vec<(f64, f64)>,
    /// Drawn as steps.
    pub steps: bool,
    /// Drawn dashed, for limits and targets.
    pub dashed: bool,
    /// Drawn as dots that nothing connects; the name stands at the top.
    pub dots: bool,
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
    log_x: bool,
    log_y: bool,
}

impl Scale {
    fn of(chart: &Chart) -> Self {
        let (log_x, log_y) = (chart.log_x, chart.log_y);
        let points: Vec<(f64, f64)> = (chart.lines.iter())
            .flat_map(|line| &line.points)
            .filter(|point| is_shown(**point, log_x, log_y))
            .map(|point| (on(log_x, point.0), on(log_y, point.1)))
            .collect();
        let range = |f: &dyn Fn(&(f64, f64)) -> f64| {
            let lo = points.iter().map(f).fold(f64::INFINITY, f64::min);
            let hi = points.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
            match lo < hi {
                true => (lo, hi),
                false if lo.is_finite() => (lo - 0.5, lo + 0.5),
                false => (0.0, 1.0),
            }
        };
        let (x, y) = (range(&|p| p.0), range(&|p| p.1));
        Self {
            x: match log_x {
                true => (x.0.floor(), x.1.ceil()),
                false => x,
            },
            y: match log_y {
                true => (y.0.floor(), y.1.ceil()),
                false => (y.0.min(0.0), y.1 * 1.05),
            },
            log_x,
            log_y,
        }
    }

    fn shows(&self, point: (f64, f64)) -> bool {
        is_shown(point, self.log_x, self.log_y)
    }

    fn x(&self, x: f64) -> f64 {
        let x = on(self.log_x, x);
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        let y = on(self.log_y, y);
        HEIGHT - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }
}

/// A value on its axis.
fn on(log: bool, value: f64) -> f64 {
    if log { value.log10() } else { value }
}

fn is_shown((x, y): (f64, f64), log_x: bool, log_y: bool) -> bool {
    let on_axis = |log: bool, value: f64| value.is_finite() && (!log || value > 0.0);
    on_axis(log_x, x) && on_axis(log_y, y)
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
        let mut row = TOP + 12.0;
        for (series, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            if series.dots {
                series.dot(&mut svg, &scale, colour, row);
                row += 16.0;
            } else {
                series.draw(&mut svg, &scale, colour);
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String, scale: &Scale) {
        let (x0, y0) = (LEFT, HEIGHT - BOTTOM);
        line(svg, [x0, y0, WIDTH - RIGHT, y0], "#333333");
        line(svg, [x0, TOP, x0, y0], "#333333");
        for value in marks(scale.log_x, scale.x) {
            let x = scale.x(value);
            line(svg, [x, y0, x, y0 + 4.0], "#333333");
            text(svg, x, y0 + 18.0, "middle", &number(value));
        }
        for value in marks(scale.log_y, scale.y) {
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
            if !scale.shows((px, py)) {
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

impl Line {
    /// Draws dots, with the name in a row of its own.
    fn dot(&self, svg: &mut String, scale: &Scale, colour: &str, row: f64) {
        let circle = |svg: &mut String, x: f64, y: f64| {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\" \
                 fill-opacity=\"0.7\"/>"
            );
        };
        for &(x, y) in self.points.iter().filter(|point| scale.shows(**point)) {
            circle(svg, scale.x(x), scale.y(y));
        }
        circle(svg, LEFT + 12.0, row - 4.0);
        text(svg, LEFT + 20.0, row, "start", &self.name);
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

/// Where an axis has its numbers: whole powers of ten on a logarithmic one.
fn marks(log: bool, range: (f64, f64)) -> Vec<f64> {
    if !log {
        return ticks(range);
    }
    let (first, last) = (range.0.ceil() as i32, range.1.floor() as i32);
    (first..=last).map(|k| 10.0_f64.powi(k)).collect()
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
