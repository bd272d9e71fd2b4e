//! Networks of stations: open Jackson, open QNA, closed MVA.

pub mod jackson;
pub mod mva;
pub mod qna;
