//! `Branch`: a tree drawn with box characters.

/// One line of a tree and what hangs below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) label: String,
    pub(crate) below: Vec<Self>,
}

impl Branch {
    pub(crate) fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            below: Vec::new(),
        }
    }

    /// The lines of the tree, from its root.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.label.clone()];
        // An explicit stack: the depth of a chain of events is not bounded by the program's.
        let mut open: Vec<(&[Self], String)> = vec![(&self.below, String::new())];
        while let Some((branches, indent)) = open.pop() {
            let Some((first, rest)) = branches.split_first() else {
                continue;
            };
            let (corner, under) = if rest.is_empty() {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            lines.push(format!("{indent}{corner}{}", first.label));
            let deeper = format!("{indent}{under}");
            open.push((rest, indent));
            open.push((&first.below, deeper));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_hang_where_they_belong() {
        let leaf = Branch::new;
        let tree = Branch {
            label: "root".into(),
            below: vec![
                Branch {
                    label: "a".into(),
                    below: vec![leaf("a1"), leaf("a2")],
                },
                Branch {
                    label: "b".into(),
                    below: vec![leaf("b1")],
                },
            ],
        };
        assert_eq!(
            tree.lines(),
            ["root", "├─ a", "│  ├─ a1", "│  └─ a2", "└─ b", "   └─ b1"]
        );
    }

    #[test]
    fn a_long_chain_is_no_deep_recursion() {
        let mut tree = Branch::new("end");
        for _ in 0..10_000 {
            tree = Branch {
                label: "x".into(),
                below: vec![tree],
            };
        }
        assert_eq!(tree.lines().len(), 10_001);
        // Taken apart by hand, because dropping a chain recurses.
        while let Some(next) = tree.below.pop() {
            tree = next;
        }
    }
}
