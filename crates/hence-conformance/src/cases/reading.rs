//! Reading: order, filters, following, single messages.

use hence_core::envelope::{CAUSATION, CORRELATION};
use hence_core::{Code, Commit, Entry, Filter, Message, Outcome, Position, Read, Start, Timestamp};
use tokio::task::JoinSet;

use crate::case::{Need, Violation};
use crate::world::{
    Checked, SOURCE, TICK, TOCK, World, ensure, entry_ids, event, events, from, keyed, poll_times,
    rise, typed, with,
};

cases! {
    g15_reading_twice_gives_the_same ["G15"] Need::Nothing;
    g15_reading_after_a_kill_gives_the_same ["G15", "G1"] Need::Survival;
    a_reader_begins_where_it_is_told [] Need::Nothing;
    a_reader_leaves_out_what_the_filter_says [] Need::Nothing;
    a_reader_that_follows_waits_for_more [] Need::Nothing;
    a_reader_that_follows_filters [] Need::Nothing;
    a_reader_that_does_not_follow_ends [] Need::Nothing;
    a_reader_settles_nothing [] Need::Nothing;
    g15_readers_and_writers_side_by_side ["G15"] Need::Nothing;
    a_reader_loses_nothing_when_its_future_is_dropped [] Need::Nothing;
    an_unknown_position_is_not_found [] Need::Nothing;
    find_tells_where_an_id_stands [] Need::Nothing;
}

/// What can be compared of entries.
fn said(entries: &[Entry]) -> Vec<(Position, Timestamp, Message)> {
    let said = |entry: &Entry| (entry.position, entry.appended, entry.message.clone());
    entries.iter().map(said).collect()
}

async fn g15_reading_twice_gives_the_same(world: World<'_>) -> Checked {
    let positions = world.publish(events("e", 250)).await?;
    let first = said(&world.read_all().await?);
    let found: Vec<_> = first.iter().map(|(position, ..)| *position).collect();
    ensure!(found == positions, "read in the order {found:?}");
    ensure!(
        said(&world.read_all().await?) == first,
        "the second time it reads something else"
    );
    Ok(())
}

async fn g15_reading_after_a_kill_gives_the_same(world: World<'_>) -> Checked {
    world.publish(events("e", 50)).await?;
    let first = said(&world.read_all().await?);
    let world = world.killed().await?;
    ensure!(
        said(&world.read_all().await?) == first,
        "after a kill it reads something else"
    );
    let world = world.reopened().await?;
    ensure!(
        said(&world.read_all().await?) == first,
        "after a restart it reads something else"
    );
    Ok(())
}

async fn a_reader_begins_where_it_is_told(world: World<'_>) -> Checked {
    let positions = world.publish(events("e", 10)).await?;
    let all = world.read_all().await?;
    let middle = positions.get(4).copied().unwrap_or_default();
    let found = world.read(from(Start::Position(middle))).await?;
    ensure!(
        found.first().map(|entry| entry.position) == Some(middle),
        "not from {middle}"
    );
    ensure!(
        found.len() == 6,
        "{} entries from the fifth of ten",
        found.len()
    );
    let found = world.read(from(Start::Latest)).await?;
    ensure!(
        found.is_empty(),
        "from the end it reads {:?}",
        entry_ids(&found)
    );
    let found = world
        .read(from(Start::Position(Position(u64::MAX))))
        .await?;
    ensure!(
        found.is_empty(),
        "from beyond the end it reads {:?}",
        entry_ids(&found)
    );
    let first = all
        .first()
        .map_or_else(Timestamp::now, |entry| entry.appended);
    let found = world.read(from(Start::Time(first))).await?;
    ensure!(
        found.len() == 10,
        "from the moment of the first it reads {}",
        found.len()
    );
    let later = Timestamp::steady().after(std::time::Duration::from_secs(3600));
    let found = world.read(from(Start::Time(later))).await?;
    ensure!(
        found.is_empty(),
        "from a moment to come it reads {:?}",
        entry_ids(&found)
    );
    Ok(())
}

/// A mixture in which each filter finds something and leaves out something.
fn mixture() -> Vec<Message> {
    let mut all = vec![event("plain"), typed("tock", TOCK), keyed("keyed", "k-1")];
    all.push(keyed("other-key", "k-2"));
    all.push(with(event("subject"), "subject", "s-1"));
    all.push(with(event("source"), "source", "/another"));
    all.push(with(event("correlated"), CORRELATION, "plain"));
    all.push(with(event("caused"), CAUSATION, "plain"));
    all.push(with(typed("both", TOCK), "subject", "s-1"));
    all.push(typed("prefix", "conformance.ticked.more"));
    all
}

fn filters(middle: Timestamp) -> Vec<Filter> {
    let none = Filter::default();
    let text = |text: &str| Some(text.to_owned());
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    let types = |names: &[&str]| Filter {
        types: list(names),
        ..Filter::default()
    };
    let prefixes = |names: &[&str]| Filter {
        type_prefixes: list(names),
        ..Filter::default()
    };
    let mut all = vec![
        none.clone(),
        types(&[TOCK]),
        types(&[TICK, TOCK]),
        types(&["conformance.nobody"]),
        prefixes(&["conformance.t"]),
        prefixes(&["conformance.ticked."]),
        Filter {
            types: list(&[TOCK]),
            type_prefixes: list(&["conformance.ticked."]),
            ..none.clone()
        },
        Filter {
            source: text("/another"),
            ..none.clone()
        },
        Filter {
            id: text("plain"),
            ..none.clone()
        },
        Filter {
            subject: text("s-1"),
            ..none.clone()
        },
        Filter {
            subject: text("s-1"),
            ..types(&[TOCK])
        },
        Filter {
            key: text("k-1"),
            ..none.clone()
        },
        Filter {
            correlation_id: text("plain"),
            ..none.clone()
        },
        Filter {
            causation_id: text("plain"),
            ..none
        },
    ];
    all.extend(moments(middle));
    all
}

fn moments(middle: Timestamp) -> [Filter; 3] {
    let none = Filter::default();
    [
        Filter {
            since: Some(middle),
            ..none.clone()
        },
        Filter {
            until: Some(middle),
            ..none.clone()
        },
        Filter {
            since: Some(middle),
            until: Some(middle),
            ..none
        },
    ]
}

async fn a_reader_leaves_out_what_the_filter_says(world: World<'_>) -> Checked {
    for message in mixture() {
        world.publish_one(message).await?;
    }
    let all = world.read_all().await?;
    ensure!(
        all.len() == mixture().len(),
        "{} of {} are stored",
        all.len(),
        mixture().len()
    );
    let middle = all
        .get(4)
        .map_or_else(Timestamp::now, |entry| entry.appended);
    for filter in filters(middle) {
        let read = Read {
            from: Start::Earliest,
            filter: filter.clone(),
            follow: false,
        };
        let found = world.read(read).await?;
        let wanted: Vec<_> = all
            .iter()
            .filter(|entry| filter.matches(entry))
            .cloned()
            .collect();
        ensure!(
            said(&found) == said(&wanted),
            "{filter:?} lets through {:?} and not {:?}",
            entry_ids(&found),
            entry_ids(&wanted)
        );
    }
    Ok(())
}

fn following(from: Start, filter: Filter) -> Read {
    Read {
        from,
        filter,
        follow: true,
    }
}

async fn a_reader_that_follows_waits_for_more(world: World<'_>) -> Checked {
    world.publish(events("old", 3)).await?;
    let read = following(Start::Latest, Filter::default());
    let mut reader = world.within("read", world.engine().read(read)).await??;
    let early = poll_times(3, reader.next(10)).await;
    ensure!(early.is_none(), "a reader at the end does not wait");
    world.publish(events("new", 3)).await?;
    let mut found = Vec::new();
    while found.len() < 3 {
        let more = world.within("what was published", reader.next(2)).await??;
        ensure!(
            !more.is_empty() && more.len() <= 2,
            "{} entries for 2",
            more.len()
        );
        found.extend(more);
    }
    ensure!(
        entry_ids(&found) == ["new0", "new1", "new2"],
        "followed: {:?}",
        entry_ids(&found)
    );
    Ok(())
}

async fn a_reader_that_follows_filters(world: World<'_>) -> Checked {
    let filter = Filter {
        types: vec![TOCK.to_owned()],
        ..Filter::default()
    };
    let read = following(Start::Earliest, filter);
    let mut reader = world.within("read", world.engine().read(read)).await??;
    world
        .publish(vec![event("a"), typed("b", TOCK), event("c")])
        .await?;
    let found = world
        .within("the one that passes", reader.next(10))
        .await??;
    ensure!(
        entry_ids(&found) == ["b"],
        "it lets through {:?}",
        entry_ids(&found)
    );
    world
        .publish(vec![event("d"), event("e"), typed("f", TOCK)])
        .await?;
    let found = world
        .within("the next that passes", reader.next(10))
        .await??;
    ensure!(
        entry_ids(&found) == ["f"],
        "it lets through {:?}",
        entry_ids(&found)
    );
    Ok(())
}

async fn a_reader_that_does_not_follow_ends(world: World<'_>) -> Checked {
    world.publish(events("old", 5)).await?;
    let mut reader = world
        .within("read", world.engine().read(from(Start::Earliest)))
        .await??;
    world.publish(events("new", 5)).await?;
    let mut found = Vec::new();
    loop {
        let more = world.within("read on", reader.next(2)).await??;
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    let old = ["old0", "old1", "old2", "old3", "old4"];
    ensure!(
        entry_ids(&found) == old,
        "it ends where it began, not at {:?}",
        entry_ids(&found)
    );
    let more = world.within("read on at the end", reader.next(2)).await??;
    ensure!(
        more.is_empty(),
        "behind its end it reads {:?}",
        entry_ids(&more)
    );
    Ok(())
}

async fn a_reader_settles_nothing(world: World<'_>) -> Checked {
    world.publish(events("e", 3)).await?;
    let mut attached = world.attach("reads-too", &[TICK]).await?;
    world.read_all().await?;
    let deliveries = world.pull(&mut attached, 3).await?;
    world.read_all().await?;
    world
        .settle(
            "reads-too",
            deliveries.first().ok_or_else(none)?,
            Outcome::Done,
        )
        .await?;
    ensure!(
        world.read_all().await?.len() == 3,
        "what is settled is read no more"
    );
    Ok(())
}

fn none() -> Violation {
    Violation::new("nothing there")
}

async fn g15_readers_and_writers_side_by_side(world: World<'_>) -> Checked {
    const EACH: usize = 150;
    let mut writers = JoinSet::new();
    for writer in 0..3 {
        let (engine, level) = (world.shared(), world.level());
        writers.spawn(async move {
            for message in events(&format!("{writer}-"), EACH) {
                engine.commit(Commit::publish(vec![message], level)).await?;
            }
            Ok::<_, hence_core::Error>(())
        });
    }
    let mut readers = Vec::new();
    for max in [1, 7, 100] {
        let read = following(Start::Earliest, Filter::default());
        let mut reader = world.within("read", world.engine().read(read)).await??;
        readers.push(async move {
            let mut found = Vec::new();
            while found.len() < 3 * EACH {
                let more = reader.next(max).await?;
                if more.is_empty() {
                    break;
                }
                found.extend(more);
            }
            Ok::<_, hence_core::Error>(found)
        });
    }
    let found = world
        .within("three readers", futures_util::future::join_all(readers))
        .await?;
    while let Some(ended) = writers.join_next().await {
        ended.map_err(|error| Violation::new(format!("a writer ended with {error}")))??;
    }
    let wanted = said(&world.read_all().await?);
    let places: Vec<_> = wanted.iter().map(|(position, ..)| *position).collect();
    ensure!(
        rise(&places) && places.len() == 3 * EACH,
        "{} entries are stored",
        places.len()
    );
    for followed in found {
        ensure!(
            said(&followed?) == wanted,
            "a reader beside the writers has gaps or another order"
        );
    }
    Ok(())
}

async fn a_reader_loses_nothing_when_its_future_is_dropped(world: World<'_>) -> Checked {
    let read = following(Start::Earliest, Filter::default());
    let mut reader = world.within("read", world.engine().read(read)).await??;
    let mut found = Vec::new();
    for number in 0..30 {
        found.extend(
            poll_times(number % 4, reader.next(2))
                .await
                .transpose()?
                .unwrap_or_default(),
        );
        world.publish_one(event(&format!("e{number}"))).await?;
        found.extend(
            poll_times(number % 3, reader.next(1))
                .await
                .transpose()?
                .unwrap_or_default(),
        );
    }
    while found.len() < 30 {
        found.extend(world.within("read on", reader.next(10)).await??);
    }
    let wanted = said(&world.read_all().await?);
    ensure!(said(&found) == wanted, "read {:?}", entry_ids(&found));
    Ok(())
}

async fn an_unknown_position_is_not_found(world: World<'_>) -> Checked {
    let position = world.publish_one(event("only")).await?;
    for unknown in [Position(0), Position(position.0 + 1), Position(u64::MAX)] {
        let got = world.within("get", world.engine().get(unknown)).await?;
        let code = got.err().map(|error| error.code());
        ensure!(
            code == Some(Code::NOT_FOUND),
            "get({unknown}) answers {code:?}"
        );
        let got = world
            .within("report", world.engine().report(unknown))
            .await?;
        let code = got.err().map(|error| error.code());
        ensure!(
            code == Some(Code::NOT_FOUND),
            "report({unknown}) answers {code:?}"
        );
    }
    Ok(())
}

async fn find_tells_where_an_id_stands(world: World<'_>) -> Checked {
    let positions = world.publish(events("e", 5)).await?;
    let wanted = positions.get(2).copied().unwrap_or_default();
    for source in [None, Some(SOURCE)] {
        let found = world
            .within("find", world.engine().find(source, "e2"))
            .await??;
        ensure!(
            found == [wanted],
            "find({source:?}, 'e2') gives {found:?}, not {wanted}"
        );
    }
    for (source, id) in [(None, "e5"), (Some("/another"), "e2"), (Some(SOURCE), "e")] {
        let found = world
            .within("find", world.engine().find(source, id))
            .await??;
        ensure!(found.is_empty(), "find({source:?}, '{id}') gives {found:?}");
    }
    Ok(())
}
