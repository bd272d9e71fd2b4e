//! Adaptive Simpson quadrature with Richardson's correction (Lyness 1969).

/// ∫ f over `[a, b]` to about `tolerance` (absolute).
pub fn simpson(f: &impl Fn(f64) -> f64, a: f64, b: f64, tolerance: f64) -> f64 {
    let m = 0.5 * (a + b);
    let (fa, fm, fb) = (f(a), f(m), f(b));
    refine(
        f,
        [a, m, b],
        [fa, fm, fb],
        (b - a) / 6.0 * (fa + 4.0 * fm + fb),
        tolerance,
        40,
    )
}

fn refine(
    f: &impl Fn(f64) -> f64,
    [a, m, b]: [f64; 3],
    [fa, fm, fb]: [f64; 3],
    whole: f64,
    tolerance: f64,
    depth: u32,
) -> f64 {
    let (l, r) = (0.5 * (a + m), 0.5 * (m + b));
    let (fl, fr) = (f(l), f(r));
    let left = (m - a) / 6.0 * (fa + 4.0 * fl + fm);
    let right = (b - m) / 6.0 * (fm + 4.0 * fr + fb);
    let gap = left + right - whole;
    if depth == 0 || gap.abs() <= 15.0 * tolerance {
        return left + right + gap / 15.0;
    }
    refine(f, [a, l, m], [fa, fl, fm], left, tolerance / 2.0, depth - 1)
        + refine(
            f,
            [m, r, b],
            [fm, fr, fb],
            right,
            tolerance / 2.0,
            depth - 1,
        )
}
