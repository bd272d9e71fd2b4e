//! From measurements to model parameters.

pub mod dispersion;
