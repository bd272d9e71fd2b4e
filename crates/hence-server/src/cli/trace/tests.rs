use super::*;

fn nodes() -> Vec<Node> {
    let json = r#"[
        {"position":"1","appended":"2026-11-20T10:00:00Z","event":{"type":"order.placed","partitionkey":"A-17"},
         "deliveries":[
            {"subscription":"reserve-stock","state":"done","attempts":[
                {"ended":"2026-11-20T10:00:00.003Z","ran":"0.002s","outcome":"done","emitted":["2"]}]},
            {"subscription":"audit","state":"waiting"}]},
        {"position":"2","appended":"2026-11-20T10:00:01Z","event":{"type":"stock.reserved"},"cause":"1",
         "deliveries":[
            {"subscription":"charge-card","state":"dead","attempts":[
                {"ended":"2026-11-20T10:00:01.001Z","ran":"0.001s","error":"declined"},
                {"ended":"2026-11-20T10:00:02.002Z","ran":"0.001s","error":"declined\nagain"}]}]},
        {"position":"3","appended":"2026-11-20T10:00:01Z","event":{"type":"note"},"cause":"1"}]"#;
    serde_json::from_str(json).unwrap()
}

fn flags(up: bool, down: bool) -> Trace {
    Trace {
        event: String::new(),
        up,
        down,
        waterfall: false,
        times: Times::default(),
    }
}

fn drawn(kept: &BTreeSet<&str>) -> Vec<String> {
    let (nodes, out) = (nodes(), Output::to(std::io::sink(), std::io::sink()));
    let drawing = Drawing {
        out: &out,
        times: Times { utc: true },
        asked: "2",
        nodes: nodes
            .iter()
            .filter(|node| kept.contains(&*node.position))
            .collect(),
    };
    drawing.branch(drawing.nodes[0]).lines()
}

#[test]
fn what_followed_hangs_below_who_emitted_it() {
    assert_eq!(
        drawn(&BTreeSet::from(["1", "2", "3"])),
        [
            "order.placed  1  A-17  2026-11-20T10:00:00Z",
            "├─ ✓ reserve-stock done  waited 1 ms, ran 2 ms",
            "│  └─ stock.reserved  2  2026-11-20T10:00:01Z  ← asked",
            "│     └─ ✗ charge-card dead  2 attempts, waited 1 s, ran 2 ms: declined again",
            "├─ … audit waiting",
            "└─ note  3  2026-11-20T10:00:01Z",
        ]
    );
}

#[test]
fn up_shows_causes_and_down_shows_what_followed() {
    let nodes = nodes();
    assert_eq!(
        flags(true, false).kept(&nodes, "2"),
        BTreeSet::from(["1", "2"])
    );
    assert_eq!(flags(false, true).kept(&nodes, "2"), BTreeSet::from(["2"]));
    assert_eq!(flags(false, true).kept(&nodes, "1").len(), 3);
    assert_eq!(flags(false, false).kept(&nodes, "3").len(), 3);
}
