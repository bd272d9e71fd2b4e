//! The table of the guarantees: id, promise, what the cases of the suite came to on each engine, the
//! tests beside the suite, and the verdict of the last run.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::house::House;
use crate::tidy::guarantees::{Bearer, PAGE, promises};
use crate::tidy::{crate_of, markdown};

const BEGIN: &str = "<!-- written by: cargo xtask guarantees -->\n\n";
const END: &str = "\n<!-- until here -->\n";
/// The table of the cases, which the tests of the engines write.
const ENGINES: &str = "docs/concepts/engines.md";

/// What the last run said of one guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    /// A test failed, or did not run.
    Broken,
    /// No test bears the number.
    Untested,
}

impl Verdict {
    const ALL: [Self; 3] = [Self::Holds, Self::Broken, Self::Untested];
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::Broken => "**broken**",
            Self::Untested => "not in this version",
        })
    }
}

/// The verdicts that stand in the page.
pub(crate) fn verdicts(page: &str) -> BTreeMap<u32, Verdict> {
    let rows = markdown::prose(page).filter_map(|(_, line)| {
        let cells = markdown::cells(line)?;
        let number = cells.first()?.strip_prefix("**G")?.strip_suffix("**")?;
        let last = cells.last()?;
        let verdict = Verdict::ALL.into_iter();
        let verdict = verdict
            .into_iter()
            .find(|verdict| verdict.to_string() == *last)?;
        Some((number.parse().ok()?, verdict))
    });
    rows.collect()
}

/// How many cases the row of a guarantee says that hold, for each engine.
pub(crate) fn held(page: &str, number: u32) -> Vec<u32> {
    let own = format!("**G{number}**");
    let row = markdown::prose(page).find_map(|(_, line)| {
        let cells = markdown::cells(line)?;
        (cells.first() == Some(&own.as_str())).then_some(cells)
    });
    let cells = row.unwrap_or_default().into_iter().skip(2);
    let held = cells.map(|cell| {
        cell.split_once(" hold")
            .and_then(|(count, _)| count.parse().ok())
    });
    held.map(Option::unwrap_or_default).collect()
}

/// The tests that the page names.
pub(crate) fn names(page: &str) -> impl Iterator<Item = &str> {
    let rest = page.split_once(BEGIN).map(|(_, rest)| rest);
    let table = rest
        .and_then(|rest| rest.split_once(END))
        .map(|(table, _)| table);
    let lists = table.unwrap_or_default().lines();
    let lists = lists.filter(|line| line.starts_with("- **G"));
    lists.flat_map(markdown::code_spans)
}

/// The page with the table as it should be; nothing when it has no place for one.
pub(crate) fn written(
    house: &House,
    bearers: &[Bearer],
    verdicts: &BTreeMap<u32, Verdict>,
) -> Option<String> {
    let page = house.text(PAGE)?;
    let (before, rest) = page.split_once(BEGIN)?;
    let (old, after) = rest.split_once(END)?;
    let engines = house.text(ENGINES).unwrap_or_default();
    let mut table = String::from(
        "| | Promise | `memory:` | `log:` | in power cuts | Other tests | Last run |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let mut names = String::new();
    for (number, promise) in promises(old) {
        let own: Vec<_> = bearers.iter().filter(|own| own.number == number).collect();
        let others = own.iter().filter(|own| !own.is_case()).count();
        let verdict = match verdicts.get(&number) {
            Some(verdict) if !own.is_empty() => *verdict,
            // What has never been run is not said to hold.
            None if !own.is_empty() => Verdict::Broken,
            _ => Verdict::Untested,
        };
        let cases = cases(engines, number);
        writeln!(
            table,
            "| **G{number}** | {promise} | {cases} | {others} | {verdict} |"
        )
        .ok()?;
        if !own.is_empty() {
            writeln!(names, "- **G{number}**: {}", listed(&own)).ok()?;
        }
    }
    let lead = "Which tests these are, the cases of the suite first:";
    Some(format!(
        "{before}{BEGIN}{table}\n{lead}\n\n{names}{END}{after}"
    ))
}

/// What the cases of a guarantee came to, as the cells of the table of the engines.
fn cases(engines: &str, number: u32) -> String {
    let own = format!("G{number}");
    let row = markdown::prose(engines).find_map(|(_, line)| {
        let cells = markdown::cells(line)?;
        (cells.first() == Some(&own.as_str()))
            .then(|| cells.get(1..4).map(|own| own.join(" | ")))?
    });
    row.unwrap_or_else(|| "– | – | –".to_owned())
}

/// Names by crate.
fn listed(own: &[&Bearer]) -> String {
    let mut by_crate: BTreeMap<(bool, &str), Vec<String>> = BTreeMap::new();
    for bearer in own {
        let name = crate_of(&bearer.path).unwrap_or(&bearer.path);
        let names = by_crate.entry((!bearer.is_case(), name)).or_default();
        names.push(format!("`{}`", bearer.name));
    }
    let each = by_crate.iter().map(|((is_other, name), names)| {
        let names = names.join(", ");
        match is_other {
            true => format!("in {name} {names}"),
            false => names,
        }
    });
    each.collect::<Vec<_>>().join("; ")
}
