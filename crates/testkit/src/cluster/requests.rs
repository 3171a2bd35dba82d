//! Questions to other servers and to their clients.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

use super::{Engine, asked, eventually, settled};

/// All clients are asked, whichever server they are on, and all their answers come.
///
/// # Panics
///
/// If one does not.
pub async fn answers_of_all_clients_are_collected(engine: &Engine) {
    let nodes = engine.nodes::<3>().await;
    let mut peers = Vec::new();
    for node in &nodes {
        peers.push(node.peer(&["room"]).await);
        peers.push(node.peer(&["room"]).await);
        peers.push(node.peer(&["other"]).await);
    }
    settled(&nodes).await;
    let start = Instant::now();
    let target = nodes[0].io.to("room").timeout(Duration::from_secs(20));
    let answers = target.emit_with_ack::<Value>("q", 1).expect("sent");
    for (number, peer) in peers.iter_mut().enumerate() {
        if number % 3 < 2 {
            let id = asked(peer, r#"["q",1]"#).await;
            peer.send(&format!("3{id}[{number}]")).await;
        }
    }
    let summary = answers.await;
    let mut numbers: Vec<_> = summary
        .answers
        .iter()
        .map(|(_, answer)| answer.to_string())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["0", "1", "3", "4", "6", "7"]);
    assert!(
        summary.missing.is_empty() && summary.missing_servers == 0,
        "{summary:?}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "it has waited for nobody"
    );
}

/// Where nobody is meant, it is over at once.
///
/// # Panics
///
/// If it is not.
pub async fn nobody_has_to_answer_where_nobody_is(engine: &Engine) {
    let nodes = engine.nodes::<3>().await;
    settled(&nodes).await;
    let start = Instant::now();
    let target = nodes[0].io.to("nobody").timeout(Duration::from_secs(20));
    let summary = target.emit_with_ack::<Value>("q", 1).expect("sent").await;
    assert!(
        summary.answers.is_empty() && summary.missing.is_empty(),
        "{summary:?}"
    );
    assert_eq!(summary.missing_servers, 0);
    assert!(start.elapsed() < Duration::from_secs(15));
}

/// Those who do not answer are said to be missing, and the others' answers are there. What is answered may be bytes, or
/// nothing.
///
/// # Panics
///
/// If it is otherwise.
pub async fn client_that_does_not_answer_is_missing(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let (mut here, mut silent) = (nodes[0].peer(&[]).await, nodes[1].peer(&[]).await);
    let (mut bytes, mut empty) = (nodes[1].peer(&[]).await, nodes[1].peer(&[]).await);
    settled(&nodes).await;
    let target = nodes[0].io.timeout(Duration::from_secs(2));
    let answers = target.emit_with_ack::<Option<Bytes>>("q", 1).expect("sent");
    let id = asked(&mut bytes, r#"["q",1]"#).await;
    bytes
        .send(&format!(r#"61-{id}[{{"_placeholder":true,"num":0}}]"#))
        .await;
    bytes.send_binary(b"\x00\xff").await;
    let id = asked(&mut empty, r#"["q",1]"#).await;
    empty.send(&format!("3{id}[]")).await;
    let id = asked(&mut here, r#"["q",1]"#).await;
    here.send(&format!("3{id}[]")).await;
    let _ = asked(&mut silent, r#"["q",1]"#).await;
    let summary = answers.await;
    assert_eq!(
        (summary.answers.len(), summary.missing.len()),
        (3, 1),
        "{summary:?}"
    );
    assert_eq!(summary.missing_servers, 0);
    let mut answers = summary.answers.iter();
    assert!(answers.any(|(_, answer)| answer.as_deref() == Some(b"\x00\xff")));
}

/// Servers ask each other, and each of the others answers.
///
/// # Panics
///
/// If one does not.
pub async fn servers_answer_each_other(engine: &Engine) {
    let nodes = engine.nodes::<3>().await;
    for node in &nodes {
        let answers = node.io.server_side_emit_with_ack::<String>("who", ()).await;
        let mut answers = answers.expect("all answer");
        answers.sort_unstable();
        let others = nodes.iter().filter(|other| other.name != node.name);
        let others: Vec<_> = others.map(|other| other.name.clone()).collect();
        assert_eq!(answers, others);
    }
}

/// Servers are told of what one of them emits to the others.
///
/// # Panics
///
/// If one is not.
pub async fn servers_are_told_of_events(engine: &Engine) {
    let nodes = engine.nodes::<3>().await;
    for number in 0..20 {
        let sent = nodes[0].io.server_side_emit("note", (number, "né"));
        sent.expect("sent");
    }
    for node in &nodes[1..] {
        for number in 0..20 {
            assert_eq!(node.notes.next().await, format!(r#"{number},"né""#));
        }
    }
    settled(&nodes).await;
    assert!(nodes[0].notes.rest().is_empty(), "it tells itself nothing");
}

/// A server that was closed is not counted, nor asked.
///
/// # Panics
///
/// If it is.
pub async fn server_that_leaves_is_not_waited_for(engine: &Engine) {
    let nodes = engine.nodes::<3>().await;
    nodes[2].io.close().await;
    for node in &nodes[..2] {
        eventually("it is not counted", async || {
            node.io.server_count().await == 2
        })
        .await;
        let sockets = node.io.fetch_sockets().await;
        assert!(sockets.expect("all answer").is_empty());
    }
    let start = Instant::now();
    let answers = nodes[0]
        .io
        .server_side_emit_with_ack::<String>("who", ())
        .await;
    assert_eq!(answers.expect("all answer"), ["node-1"]);
    assert!(start.elapsed() < Duration::from_secs(4));
}
