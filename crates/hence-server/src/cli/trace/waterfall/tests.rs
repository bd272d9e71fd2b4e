use super::*;

fn node() -> Node {
    let json = r#"{"position":"1","appended":"2026-11-20T10:00:00Z","event":{"type":"a"},
        "deliveries":[{"subscription":"s","state":"done","attempts":[
            {"ended":"2026-11-20T10:00:04Z","ran":"2s"},
            {"ended":"2026-11-20T10:00:10Z","ran":"1s"}]},
          {"subscription":"t","state":"waiting"}]}"#;
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_delivery_waits_runs_and_backs_off() {
    let node = node();
    let waterfall = Waterfall::of(&[&node]);
    let bar = waterfall.bar(&waterfall.rows[0], 10);
    assert_eq!(bar, "··███░░░░█");
    assert_eq!(waterfall.whole, Duration::from_secs(10));
    assert_eq!(
        waterfall.bar(&waterfall.rows[1], 10),
        "",
        "nothing happened yet"
    );
}

#[test]
fn a_chain_without_deliveries_has_a_scale_and_no_bars() {
    let out = Output::to(std::io::sink(), std::io::sink());
    assert_eq!(Waterfall::of(&[]).lines(&out).len(), 2);
}
