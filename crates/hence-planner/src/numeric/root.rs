//! Roots of one-dimensional functions.
//!
//! Brent, "Algorithms for Minimization without Derivatives" (1973), chapter 4: the safety of
//! bisection with the speed of inverse quadratic interpolation.

use crate::error::Domain;

/// Root of `f` in `[lo, hi]`, where `f` changes sign, to a relative accuracy near 1e-15.
///
/// # Errors
/// [`Domain::Undefined`] when `f(lo)` and `f(hi)` have the same sign.
pub fn brent(mut f: impl FnMut(f64) -> f64, lo: f64, hi: f64) -> Result<f64, Domain> {
    let (mut a, mut b) = (lo, hi);
    let (mut fa, mut fb) = (f(a), f(b));
    if fa == 0.0 {
        return Ok(a);
    }
    if fb == 0.0 {
        return Ok(b);
    }
    if (fa > 0.0) == (fb > 0.0) || fa.is_nan() || fb.is_nan() {
        return Err(Domain::undefined("no sign change: no root in the bracket"));
    }
    let (mut c, mut fc) = (a, fa);
    let (mut step, mut before) = (b - a, b - a);
    for _ in 0..300 {
        if (fb > 0.0) == (fc > 0.0) {
            (c, fc) = (a, fa);
            step = b - a;
            before = step;
        }
        if fc.abs() < fb.abs() {
            (a, fa) = (b, fb);
            (b, fb) = (c, fc);
            (c, fc) = (a, fa);
        }
        let tolerance = 2.0 * f64::EPSILON * b.abs() + f64::MIN_POSITIVE;
        let half = 0.5 * (c - b);
        if half.abs() <= tolerance || fb == 0.0 {
            return Ok(b);
        }
        if before.abs() >= tolerance && fa.abs() > fb.abs() {
            let s = fb / fa;
            let (mut p, mut q) = if a == c {
                (2.0 * half * s, 1.0 - s)
            } else {
                let (q, r) = (fa / fc, fb / fc);
                let p = s * (2.0 * half * q * (q - r) - (b - a) * (r - 1.0));
                (p, (q - 1.0) * (r - 1.0) * (s - 1.0))
            };
            if p > 0.0 {
                q = -q;
            } else {
                p = -p;
            }
            let limit = (3.0 * half * q - (tolerance * q).abs()).min((before * q).abs());
            if 2.0 * p < limit {
                before = step;
                step = p / q;
            } else {
                step = half;
                before = half;
            }
        } else {
            step = half;
            before = half;
        }
        (a, fa) = (b, fb);
        b += if step.abs() > tolerance {
            step
        } else {
            tolerance.copysign(half)
        };
        fb = f(b);
    }
    Ok(b)
}

/// The t with `tail(t) = q`, for a decreasing tail with `tail(0) > q`; 0 when `tail(0) ≤ q`.
///
/// Works on the logarithm of the tail, which is nearly straight for queues, and doubles the
/// bracket starting at `scale` until it holds the root.
///
/// # Errors
/// [`Domain::Undefined`] when the tail does not fall below `q` within 2¹⁰⁰ scales.
pub fn quantile(mut tail: impl FnMut(f64) -> f64, q: f64, scale: f64) -> Result<f64, Domain> {
    if tail(0.0) <= q {
        return Ok(0.0);
    }
    let (mut lo, mut hi) = (0.0, scale);
    for _ in 0..100 {
        if tail(hi) < q {
            let target = q.ln();
            return brent(|t| tail(t).max(f64::MIN_POSITIVE).ln() - target, lo, hi);
        }
        lo = hi;
        hi *= 2.0;
    }
    Err(Domain::undefined(
        "the tail never falls below the asked probability",
    ))
}
