use super::*;

fn nodes() -> Vec<Node> {
    let json = r#"[
        {"position":"1","appended":"x","event":{"type":"order.placed","partitionkey":"A-17"},
         "deliveries":[
            {"subscription":"reserve-stock","outcome":"done","attempts":[
                {"wait":"1ms","run":"2ms","outcome":"done","emitted":["2"]}]},
            {"subscription":"audit","outcome":"waiting"}]},
        {"position":"2","appended":"x","event":{"type":"stock.reserved"},"cause":"1",
         "deliveries":[
            {"subscription":"charge-card","outcome":"dead","attempts":[
                {"wait":"0ms","run":"1ms","error":"declined"},
                {"wait":"1s","run":"1ms","error":"declined\nagain"}]}]},
        {"position":"3","appended":"x","event":{"type":"note"},"cause":"1"}]"#;
    serde_json::from_str(json).unwrap()
}

fn flags(up: bool, down: bool) -> Trace {
    Trace {
        event: String::new(),
        up,
        down,
        times: Times::default(),
    }
}

fn drawn(kept: &BTreeSet<&str>) -> Vec<String> {
    let (nodes, out) = (nodes(), Output::to(std::io::sink(), std::io::sink()));
    let drawing = Drawing {
        out: &out,
        times: Times::default(),
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
            "order.placed  1  A-17  x",
            "├─ ✓ reserve-stock done  waited 1 ms, ran 2 ms",
            "│  └─ stock.reserved  2  x  ← asked",
            "│     └─ ✗ charge-card dead  2 attempts, waited 1 s, ran 2 ms: declined again",
            "├─ … audit waiting",
            "└─ note  3  x",
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
