//! Bugs that the campaigns plant, to prove that they would find them.
//!
//! With the feature `planted` the environment variable `HENCE_PLANT` names one; without it every
//! question is answered with no at compile time.

/// Whether a bug is planted.
#[cfg(feature = "planted")]
pub(crate) fn is_planted(name: &str) -> bool {
    static PLANT: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let plant = PLANT.get_or_init(|| std::env::var("HENCE_PLANT").ok());
    plant.as_deref() == Some(name)
}

/// Whether a bug is planted: none is.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is_planted(_: &str) -> bool {
    false
}
