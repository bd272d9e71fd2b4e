//! How many handlers at a time do most together, from how long they take beside one another.
//!
//! By Little's law whatever is slow has company: a dependency that is slow for a minute looks like
//! handlers that get in one another's way. So the times of two periods must say the same, and even
//! then it is advice and bounds nothing.

use hence::measure::{BESIDE_MAX, Level, Measured};
use hence_planner::usl::{UslFit, usl_fit_weighted};

/// Samples that a level must have to say anything of scaling.
const SAMPLES_MIN: u64 = 50;
/// Standard errors by which the coherency must be above none.
const SURE: f64 = 2.0;
/// By how much the knees of two periods may differ, as a factor.
const AGREE: f64 = 2.0;

/// How many handlers at a time do most together, at least one; `None` where that is not seen.
pub(crate) fn knee(measured: &Measured) -> Option<f64> {
    // Of batches the deliveries are counted, and a call has several.
    if measured.batched {
        return None;
    }
    let [now, before] = measured.beside.each_ref().map(|levels| peak(levels));
    let (now, before) = (now?, before?);
    (now.max(before) <= AGREE * now.min(before)).then(|| peak(&together(&measured.beside)))?
}

/// What to set where more calls at a time are allowed than do most together, in words.
pub(crate) fn advice(measured: &Measured) -> Option<String> {
    let knee = knee(measured)?.floor() as usize;
    let options = measured.options.as_ref()?;
    let (set, most) = match options.adaptive {
        Some(adaptive) => ("the upper bound of adaptive", adaptive.most),
        None => ("concurrency", options.concurrency),
    };
    (most > knee).then(|| {
        format!(
            "beyond {knee} at a time more calls seem to do less: {set} is {most}, set it to {knee} \
             unless what they call was slow by itself"
        )
    })
}

/// What was seen in both periods.
pub(super) fn together([now, before]: &[Vec<Level>; 2]) -> Vec<Level> {
    let mut all = before.clone();
    all.resize(all.len().max(now.len()), Level::default());
    for (all, level) in all.iter_mut().zip(now) {
        all.samples += level.samples;
        all.count += level.count;
        all.sum += level.sum;
    }
    all
}

/// Where the throughput of these levels is largest.
fn peak(levels: &[Level]) -> Option<f64> {
    // The last stands for many levels, so nobody knows at which it was seen.
    let points: Vec<(f64, f64, f64)> = (levels.iter().zip(1_u32..).take(BESIDE_MAX))
        .filter(|(level, _)| level.samples >= SAMPLES_MIN && level.sum > 0.0)
        .map(|(level, n)| {
            let n = f64::from(n);
            let throughput = n * level.count as f64 / level.sum;
            // With times that spread alike at each level.
            let weight = level.samples as f64 / (throughput * throughput);
            (n, throughput, weight)
        })
        .collect();
    let UslFit {
        law, se, largest, ..
    } = usl_fit_weighted(&points).ok()?;
    let [_, _, doubt] = se;
    let peak = law.peak().max(1.0);
    // The law is not continued far beyond what was seen.
    let seen = peak.is_finite() && peak <= 2.0 * largest;
    (seen && law.kappa > SURE * doubt).then_some(peak)
}

#[cfg(test)]
#[path = "knee/tests.rs"]
mod tests;
