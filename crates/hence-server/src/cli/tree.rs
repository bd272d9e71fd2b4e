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
mod tests;
