//! Servers that are one, by `sockeye serve --cluster`, and what reaches all of them, by `sockeye emit --via`.

use sockeye_testkit::engines;

use crate::server::{Server, Visitor, run};

#[test]
fn event_that_is_published_reaches_the_clients_of_all_servers() {
    if let Some(engine) = engines::redis("command-via") {
        reaches_all(&engine.url());
        reaches_all(&engine.url().replace("://", "+sharded://"));
    }
    if let Some(engine) = engines::postgres("command-via") {
        reaches_all(&engine.url());
    }
    if let Some(engine) = engines::nats("command-via") {
        reaches_all(&engine.url());
    }
}

fn reaches_all(url: &str) {
    let servers = [(); 2].map(|()| Server::start(&["--cluster", url]));
    let mut visitors = servers.each_ref().map(Visitor::enter);
    for (visitor, room) in visitors.iter_mut().zip(["one", "two"]) {
        visitor.send(&format!(r#"421["join",{{"name":"A","room":"{room}"}}]"#));
        visitor.wait_for("431");
    }
    let ended = run(&["emit", "--via", url, "news", "1.5", "{\"a\":[]}"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{url}");
    for visitor in &mut visitors {
        let packet = visitor.wait_for(r#"42["news""#);
        assert_eq!(packet, r#"42["news",1.5,{"a":[]}]"#);
    }
    let to_two = ["emit", "--via", url, "news", "two", "--room", "room two"];
    assert_eq!(run(&to_two).code, Some(0));
    let not_to_two = ["emit", "--via", url, "news", "one", "--except", "room two"];
    assert_eq!(run(&not_to_two).code, Some(0));
    let elsewhere = ["emit", url, "news", "elsewhere", "--via", "-n", "other"];
    assert_eq!(run(&elsewhere).code, Some(0));
    assert_eq!(run(&["emit", "--via", url, "news", "end"]).code, Some(0));
    let [one, two] = &mut visitors;
    assert_eq!(one.wait_for(r#"42["news""#), r#"42["news","one"]"#);
    assert_eq!(two.wait_for(r#"42["news""#), r#"42["news","two"]"#);
    for visitor in [one, two] {
        assert_eq!(visitor.wait_for(r#"42["news""#), r#"42["news","end"]"#);
    }
}

/// The next packet that begins like this and has that in it.
fn wait_for_text(visitor: &mut Visitor<'_>, start: &str, text: &str) -> String {
    loop {
        let packet = visitor.wait_for(start);
        if packet.contains(text) {
            return packet;
        }
    }
}

#[test]
fn chat_is_one_on_two_servers() {
    let Some(engine) = engines::redis("command-chat") else {
        return;
    };
    let url = engine.url();
    let [one, two] = [(); 2].map(|()| Server::start(&["--cluster", &url]));
    let (mut ann, mut bob) = (Visitor::enter(&one), Visitor::enter(&two));
    ann.send(r#"421["join",{"name":"Ann","room":"lobby"}]"#);
    ann.wait_for("431");
    // A picture, before anybody else is there.
    ann.send(r#"422["upload-start",{"name":"fish","type":"image/gif","size":6}]"#);
    let started = ann.wait_for("432");
    let upload = started.trim_matches(|c: char| !c.is_ascii_digit());
    let upload = upload.rsplit(':').next().unwrap();
    ann.send(&format!(
        "451-3[\"upload-chunk\",{upload},0,{{\"_placeholder\":true,\"num\":0}}]\u{1e}bR0lGODlh"
    ));
    assert_eq!(ann.wait_for("433"), r#"433[{"received":6}]"#);
    let picture = ann.wait_for(r#"42["message""#);
    let id = picture.split(&[':', ','][..]).nth(2).unwrap().to_owned();

    bob.send(r#"421["join",{"name":"Bob","room":"lobby"}]"#);
    let welcome = bob.wait_for("431");
    // What was said on the other server may come later than he does.
    if !welcome.contains("fish") {
        wait_for_text(&mut bob, "42[\"message\"", "fish");
    }
    let people = wait_for_text(&mut ann, "42[\"people\"", "Bob");
    assert!(people.find("Ann") < people.find("Bob"), "{people}");
    let two_here = r#"{"name":"lobby","people":2}"#;
    wait_for_text(&mut ann, "42[\"rooms\"", two_here);
    // Who is on another server has other numbers.
    let ids = people.split(r#""id":""#).skip(1);
    let ids: Vec<_> = ids.map(|rest| rest.split('"').next()).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{people}");

    bob.send(&format!(r#"424["picture",{id}]"#));
    let answer = bob.wait_for("461-4");
    assert!(answer.contains("image/gif"), "{answer}");
    assert_eq!(bob.wait_for("b"), "bR0lGODlh");
    bob.send(r#"425["message","across"]"#);
    bob.wait_for("435");
    wait_for_text(&mut ann, "42[\"message\"", r#""text":"across""#);
    wait_for_text(&mut bob, "42[\"message\"", r#""text":"across""#);
    // Nobody can say that he has gone.
    two.crash();
    let mut people = ann.wait_for(r#"42["people""#);
    while people.contains("Bob") {
        people = ann.wait_for(r#"42["people""#);
    }
    assert!(people.contains("Ann"), "{people}");
}

#[cfg(unix)]
#[test]
fn server_whose_cluster_goes_away_says_so_and_serves_on() {
    let Some(mut engine) = engines::redis("command-away") else {
        return;
    };
    let url = engine.url();
    let server = Server::start(&["-v", "--cluster", &url]);
    engine.stop();
    let ended = run(&["emit", "--via", &url, "news"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("Is it running"), "{ended:?}");
    assert_eq!(server.get("/healthz").1, "ok");
    let log = server.stop();
    for line in [
        "INFO",
        "the cluster can be reached",
        "WARN",
        "the cluster cannot be reached",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn wrong_url_of_a_cluster_is_refused_at_the_start() {
    for wrong in [
        "ftp://localhost",
        "localhost:6379",
        "mongo://localhost",
        "redis://",
    ] {
        for ended in [
            run(&[
                "serve",
                "--listen",
                "http://127.0.0.1:0",
                "--cluster",
                wrong,
            ]),
            run(&["emit", "--via", wrong, "news"]),
        ] {
            assert_eq!(ended.code, Some(1), "{wrong}: {ended:?}");
            assert!(
                ended.stderr.contains("Write it like redis://localhost"),
                "{ended:?}"
            );
        }
    }
    let ended = run(&["emit", "--via", "redis://localhost", "news", "--ack"]);
    assert!(ended.stderr.contains("--ack"), "{ended:?}");
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
