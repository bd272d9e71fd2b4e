//! What the macros write keeps strict lints, also where the code around it is strict.

#![deny(
    warnings,
    missing_copy_implementations,
    missing_debug_implementations,
    missing_docs,
    non_camel_case_types,
    single_use_lifetimes,
    trivial_casts,
    unreachable_pub,
    unsafe_code,
    unused_qualifications,
    unused_results
)]

pub use inner::{Both, Done, Started, r#match, on_started};

mod inner {
    use hence::{Event, Events, handler};
    use serde::{Deserialize, Serialize};

    /// Something began.
    #[derive(Clone, Copy, Debug, Event, Serialize, Deserialize)]
    #[event(type = "started", key = r#type)]
    pub struct Started {
        /// A keyword is a good name, too.
        pub r#type: u8,
    }

    /// Something ended.
    #[derive(Clone, Copy, Debug, Event, Serialize, Deserialize)]
    #[event(type = "done")]
    pub struct Done;

    /// Either.
    #[derive(Clone, Copy, Debug, Events)]
    pub enum Both {
        /// The first.
        Started(Started),
        /// The last.
        Done(Done),
    }

    /// With a long list of numbers.
    #[handler(
        name = "on-started",
        retry = 3,
        timeout = "250ms",
        concurrency = 1,
        order = "any",
        from = "latest",
        after_dead_letter = "hold",
    )]
    pub async fn on_started(mut started: Started) -> Both {
        started.r#type += 1;
        Both::Started(started)
    }

    /// Under a name that needs care.
    #[handler(name = "match")]
    pub async fn r#match(Started { r#type: _ }: Started) {}

    /// Within the house only.
    #[handler(name = "within")]
    pub(super) async fn within(_: Both) {}
}

fn main() {
    let all = hence::handlers![on_started, r#match, inner::within];
    assert_eq!(all.map(|s| s.name().to_owned()), ["on-started", "match", "within"]);
}
