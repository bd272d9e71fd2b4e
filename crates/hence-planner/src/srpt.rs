//! M/G/1 with shortest remaining processing time first (SRPT), preemptive.
//!
//! E\[T\] = ∫ f(x)·( λ(∫₀ˣ t²f(t)dt + x²P(S>x)) / (2(1-ρ(x))²) + ∫₀ˣ dt/(1-ρ(t)) ) dx,
//! ρ(x) = λ∫₀ˣ t·f(t)dt. Valid for ρ < 1 and a service time with a density; times in seconds.
//! Schrage & Miller, Oper. Res. 14 (1966) 670-684. The bracket uses
//! ∫₀ˣ t²f + x²P(S>x) = 2∫₀ˣ t·P(S>t)dt, so that only one density is needed.

use crate::error::{Domain, non_negative, stable};
use crate::service::Dist;

/// Mean response time under SRPT, seconds.
///
/// # Errors
/// [`Domain`] for bad parameters, ρ ≥ 1, or a distribution without density.
pub fn srpt(lambda: f64, service: &Dist) -> Result<f64, Domain> {
    non_negative("lambda", lambda)?;
    service.check()?;
    let mean = service.mean();
    stable(lambda * mean)?;
    if service.density(mean).is_none() {
        return Err(Domain::undefined(
            "SRPT needs a service time with a density",
        ));
    }
    let mut end = mean;
    while service.tail(end) > 1e-16 && end < 1e6 * mean {
        end *= 1.25;
    }
    let field = |x: f64, y: [f64; 4]| derivative(lambda, service, x, y);
    // Steps grow with x: the integrands live near 0 and in the bulk.
    let steps = 20_000;
    let (mut x, mut y) = (0.0_f64, [0.0; 4]);
    for i in 1..=steps {
        let next = end * (f64::from(i) / f64::from(steps)).powi(2);
        y = runge_kutta(&field, x, y, next - x);
        x = next;
    }
    // So near saturation that the integrated load passes 1 by rounding, the integrals are noise.
    if y[0] >= 1.0 || !y[3].is_finite() {
        return Err(Domain::undefined(
            "SRPT so near saturation cannot be integrated",
        ));
    }
    Ok(y[3])
}

/// State: ρ(x), ∫t·P(S>t), ∫dt/(1-ρ), result.
fn derivative(
    lambda: f64,
    service: &Dist,
    x: f64,
    [rho, area, residence, _]: [f64; 4],
) -> [f64; 4] {
    let f = service.density(x).unwrap_or(0.0);
    let idle = 1.0 - rho;
    let waiting = lambda * area / (idle * idle);
    [
        lambda * x * f,
        x * service.tail(x),
        1.0 / idle,
        f * (waiting + residence),
    ]
}

fn runge_kutta(f: &impl Fn(f64, [f64; 4]) -> [f64; 4], x: f64, y: [f64; 4], h: f64) -> [f64; 4] {
    let shift = |k: [f64; 4], s: f64| std::array::from_fn(|i| at(&y, i) + s * at(&k, i));
    let k1 = f(x, y);
    let k2 = f(x + 0.5 * h, shift(k1, 0.5 * h));
    let k3 = f(x + 0.5 * h, shift(k2, 0.5 * h));
    let k4 = f(x + h, shift(k3, h));
    std::array::from_fn(|i| {
        at(&y, i) + h / 6.0 * (at(&k1, i) + 2.0 * at(&k2, i) + 2.0 * at(&k3, i) + at(&k4, i))
    })
}

fn at(v: &[f64; 4], i: usize) -> f64 {
    v.get(i).copied().unwrap_or(0.0)
}
