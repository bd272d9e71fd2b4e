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
