//! `Case`: one clause of the contract, and what became of it.

use std::fmt;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use hence_core::commit::{Change, Sequence, What};
use hence_core::engine::Feature;
use hence_core::{BoxFuture, Capability, Code, Commit, Durability, Error, Timestamp};

use crate::harness::Harness;
use crate::world::{World, event};

/// How many times the patience of the harness one case may take.
pub const CASE_PATIENCES: u32 = 12;

/// How much of a violation is told; lists of a thousand positions help nobody.
pub const VIOLATION_CHARS_MAX: usize = 1_000;

/// How an engine broke the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(String);

impl Violation {
    /// A violation in words: what happened, and what should have.
    ///
    /// Only the first [`VIOLATION_CHARS_MAX`] characters are kept.
    pub fn new(what: impl Into<String>) -> Self {
        let mut what = what.into();
        if let Some((end, _)) = what.char_indices().nth(VIOLATION_CHARS_MAX) {
            what.truncate(end);
            what.push('…');
        }
        Self(what)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        Self(format!("the engine refused what it must do: {error}"))
    }
}

/// What a case needs an engine to declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Nothing: every engine must pass.
    Nothing,
    /// A level of durability. Who does not declare it must refuse it with `HN0202`.
    Level(Durability),
    /// At least one level that survives the end of the process. Who does not declare one must
    /// refuse `written` and `synced`.
    Survival,
    /// Something that not every engine has. Who does not declare it must refuse it with `HN0221`.
    Feature(Feature),
    /// A feature, and a level that survives the end of the process.
    Lasting(Feature),
    /// That the harness can break the engine's storage; otherwise the case is not covered.
    BrokenStorage,
}

impl Need {
    /// Whether an engine declares what is needed. Whether storage can be broken shows only later.
    #[must_use]
    pub fn is_declared(self, capability: &Capability) -> bool {
        match self {
            Self::Nothing => true,
            Self::Level(level) => capability.durability.contains(&level),
            Self::Feature(feature) => capability.has(feature),
            Self::Lasting(feature) => {
                capability.has(feature) && Self::Survival.is_declared(capability)
            }
            Self::Survival | Self::BrokenStorage => capability.strongest() >= Durability::Written,
        }
    }

    /// The feature that is needed, if the engine does not declare it.
    fn lacking(self, capability: &Capability) -> Option<Feature> {
        match self {
            Self::Feature(feature) | Self::Lasting(feature) => {
                (!capability.has(feature)).then_some(feature)
            }
            Self::Nothing | Self::Level(_) | Self::Survival | Self::BrokenStorage => None,
        }
    }

    fn levels(self) -> &'static [Durability] {
        match self {
            Self::Level(Durability::Accepted) => &[Durability::Accepted],
            Self::Level(Durability::Written) => &[Durability::Written],
            Self::Level(Durability::Synced) => &[Durability::Synced],
            Self::Survival | Self::Lasting(_) | Self::BrokenStorage => {
                &[Durability::Written, Durability::Synced]
            }
            Self::Nothing | Self::Feature(_) | Self::Level(_) => &[],
        }
    }
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The clause holds.
    Passed,
    /// It does not.
    Failed(Violation),
    /// The engine does not declare what is needed, and refuses it as it must.
    Refused,
    /// It could not be tried, and counts as nothing.
    NotCovered(&'static str),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(violation) => write!(f, "**failed**: {violation}"),
            Self::Refused => f.write_str("refused as declared"),
            Self::NotCovered(why) => write!(f, "not covered: {why}"),
        }
    }
}

/// How the body of a case is called.
pub(crate) type Body = for<'a> fn(World<'a>) -> BoxFuture<'a, Result<(), Violation>>;

/// One clause of the contract as a test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name; that of a guarantee comes first, as in `g3_retry_keeps_the_order`.
    pub name: &'static str,
    /// The guarantees that it shows: `G3`.
    pub guarantees: &'static [&'static str],
    /// What an engine must declare for it to hold.
    pub needs: Need,
    pub(crate) body: Body,
}

impl Case {
    /// Tries the case on a fresh engine. It must be called within a tokio runtime that has time.
    pub async fn run(&self, harness: &dyn Harness) -> Verdict {
        let limit = harness.patience() * CASE_PATIENCES;
        let judged = AssertUnwindSafe(self.judge(harness)).catch_unwind();
        match tokio::time::timeout(limit, judged).await {
            Ok(Ok(Ok(verdict))) => verdict,
            Ok(Ok(Err(violation))) => Verdict::Failed(violation),
            Ok(Err(_)) => Verdict::Failed(Violation::new("the engine panicked")),
            Err(_) => Verdict::Failed(Violation::new(format!("no end within {limit:?}"))),
        }
    }

    async fn judge(&self, harness: &dyn Harness) -> Result<Verdict, Violation> {
        let world = World::fresh(harness).await?;
        let capability = world.engine().capability();
        if let Some(feature) = self.needs.lacking(capability) {
            lacks(&world, feature).await?;
            return Ok(Verdict::Refused);
        }
        if !self.needs.is_declared(capability) {
            for level in self.needs.levels() {
                refuses(&world, *level).await?;
            }
            return Ok(Verdict::Refused);
        }
        if matches!(self.needs, Need::Level(level)
            if level > Durability::Accepted && level < harness.survivor())
        {
            return Ok(Verdict::NotCovered(
                "the harness cuts the power, which takes that level",
            ));
        }
        if self.needs == Need::BrokenStorage {
            let probe = World::fresh(harness).await?;
            if !harness.fail_storage(probe.instance()) {
                return Ok(Verdict::NotCovered("the harness cannot break the storage"));
            }
        }
        (self.body)(world).await.map(|()| Verdict::Passed)
    }
}

/// A feature that is not declared is refused, and what asked for it is not stored.
async fn lacks(world: &World<'_>, feature: Feature) -> Result<(), Violation> {
    let change = |what| Change {
        subscription: "undeclared".into(),
        key: "k".to_owned(),
        what,
    };
    let mut commit = Commit::publish(vec![event("undeclared")], world.level());
    match feature {
        Feature::Keyed => commit.change = vec![change(What::Write("1".into()))],
        Feature::Timers => {
            let message = Box::new(event("undeclared-timer"));
            let (name, due) = ("t".to_owned(), Timestamp::steady());
            commit.change = vec![change(What::SetTimer { name, due, message })];
        }
        _ => {
            let sender = "undeclared".to_owned();
            commit.sequence = Some(Sequence { sender, number: 1 });
        }
    }
    let attached = world.attach("undeclared", &[]).await?;
    world.refused(commit, Code::FEATURE).await?;
    drop(attached);
    world
        .knows_none(
            &["undeclared", "undeclared-timer"],
            "a feature that is refused",
        )
        .await
}

/// A level that is not declared is refused, and what asked for it is not stored.
async fn refuses(world: &World<'_>, level: Durability) -> Result<(), Violation> {
    let commit = Commit::publish(vec![event("undeclared")], level);
    world.refused(commit, Code::DURABILITY).await?;
    let found = world
        .within("find", world.engine().find(None, "undeclared"))
        .await??;
    if found.is_empty() {
        return Ok(());
    }
    Err(Violation::new(format!(
        "it refused '{level}' and stored the event all the same"
    )))
}
