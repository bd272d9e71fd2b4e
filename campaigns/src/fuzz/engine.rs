//! The engine: snapshots and operations that no engine wrote.

use std::sync::Arc;

use hence::core::{DeadLetterQuery, Engine, Read, Start};
use hence_engine_local::Options;
use hence_log::sim::SimStorage;
use hence_log::{Level, Log, Op, Storage};

use super::Input;

/// Opens an engine on bytes that stand where its snapshot or its operations should: an error or an
/// engine that can be asked everything, and after a restart says the same.
///
/// # Panics
/// When it is neither.
pub fn snapshot(bytes: &[u8]) {
    let mut input = Input(bytes);
    let disk = SimStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let opened = Log::open_on(Arc::clone(&storage), hence_log::Options::default());
    let (mut writer, log, recovered) = opened.expect("no fault was planned");
    if input.byte() & 1 == 0 {
        let stored = log.store_snapshot(0, input.0);
        stored.expect("no fault was planned");
    } else {
        while !input.is_empty() {
            let (kind, low, high) = (input.byte(), input.word(), input.word());
            let tag = u32::from(high) << 16 | u32::from(low);
            let length = usize::from(input.byte());
            let body = input.take(length);
            let staged = writer.stage(1, [Op::other(kind.max(1), tag, body)]);
            staged.expect("it is small");
        }
        let stored = writer.commit(Level::Synced);
        stored.expect("no fault was planned");
    }
    drop((writer, log, recovered));
    disk.kill();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime of one thread needs nothing that can be missing");
    let options = Options::default();
    let mut said = None;
    for _ in 0..2 {
        let Ok(engine) = hence_engine_local::log_on(Arc::clone(&storage), &options) else {
            assert!(said.is_none(), "it opened before");
            return;
        };
        let told = runtime.block_on(ask(&*engine));
        assert!(
            said.as_ref().is_none_or(|said| *said == told),
            "{said:?}, then {told}"
        );
        said = Some(told);
        runtime.block_on(engine.close());
    }
}

/// Everything that the engine says of itself.
async fn ask(engine: &dyn Engine) -> String {
    let letters = engine.dead_letters(&DeadLetterQuery::default()).await;
    let read = Read {
        from: Start::Earliest,
        ..Read::default()
    };
    let mut events = 0;
    if let Ok(mut reader) = engine.read(read).await {
        while let Ok(some) = reader.next(100).await
            && !some.is_empty()
        {
            events += some.len();
        }
    }
    format!("{:?} {letters:?} {events}", engine.subscriptions())
}
