//! The numerical ground: roots, small dense matrices, quadrature, elementary functions.

pub mod elementary;
pub mod matrix;
pub mod quadrature;
pub mod root;
