//! "Did you mean …?": the known word that is nearest to a mistyped one.

/// How many edits a word may be away from the one that is suggested for it.
const EDITS_MAX: usize = 3;

/// The nearest of the known words, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let bare = |word: &str| word.to_lowercase().replace(['_', '-', '.'], "");
    let wanted_bare = bare(wanted);
    known
        .into_iter()
        .map(|word| (distance(&wanted_bare, &bare(word)), word))
        .filter(|(edits, word)| *edits <= EDITS_MAX.min(word.chars().count() / 2))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

/// `; did you mean 'x'?`, or nothing.
pub(crate) fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wanted, known)
        .map(|word| format!("; did you mean '{word}'?"))
        .unwrap_or_default()
}

/// Edits (insert, remove, change, swap of neighbours) from one word to the other: the optimal
/// string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut rows: Vec<Vec<usize>> = vec![(0..width).collect()];
    let cell = |rows: &[Vec<usize>], row: usize, column: usize| {
        rows.get(row)
            .and_then(|cells| cells.get(column))
            .copied()
            .unwrap_or(usize::MAX / 2)
    };
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let change = cell(&rows, i, j) + usize::from(left != right);
            let remove = cell(&rows, i, j + 1) + 1;
            let insert = row.last().copied().unwrap_or(i + 1) + 1;
            let swapped =
                i > 0 && j > 0 && a.get(i - 1) == Some(right) && b.get(j - 1) == Some(left);
            let swap = if swapped {
                cell(&rows, i - 1, j - 1) + 1
            } else {
                usize::MAX
            };
            row.push(change.min(remove).min(insert).min(swap));
        }
        rows.push(row);
    }
    cell(&rows, a.len(), b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let known = ["durability", "partial", "type", "typeprefix"];
        assert_eq!(nearest("durabilty", known), Some("durability"));
        assert_eq!(nearest("tpye", known), Some("type"));
        assert_eq!(nearest("type_prefix", known), Some("typeprefix"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(
            did_you_mean("order.plcaed", ["order.placed"]),
            "; did you mean 'order.placed'?"
        );
    }
}
