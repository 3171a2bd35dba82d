//! The form of `@mickl/socket.io-nats-adapter`, as a client of NATS sees it.

use sockeye_adapter::ClusterState;
use sockeye_adapter_nats::Nats;
use sockeye_server::{Server, ServerConfig};
use sockeye_testkit::ServerRig;
use sockeye_testkit::cluster::eventually;
use sockeye_testkit::engines;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A client of NATS that is none of ours.
struct Other(BufReader<TcpStream>);

impl Other {
    async fn new(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let mut other = Self(BufReader::new(stream.expect("NATS is there")));
        other
            .say("CONNECT {\"echo\":false}\r\nSUB socketIO.> 1\r\nPING\r\n")
            .await;
        while other.line().await != "PONG" {}
        other
    }

    async fn say(&mut self, text: &str) {
        let said = self.0.write_all(text.as_bytes()).await;
        said.expect("it is read");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("a line");
        line.trim_end().to_owned()
    }

    async fn publish(&mut self, subject: &str, payload: &str) {
        let len = payload.len();
        self.say(&format!("PUB {subject} {len}\r\n{payload}\r\n"))
            .await;
    }

    /// The next message: its subject, and its payload without who has sent it.
    async fn message(&mut self) -> (String, String) {
        loop {
            let line = self.line().await;
            let words: Vec<_> = line.split(' ').collect();
            if words[0] != "MSG" {
                continue;
            }
            let len: usize = words[3].parse().expect("a number");
            let mut payload = vec![0; len + 2];
            self.0.read_exact(&mut payload).await.expect("a payload");
            payload.truncate(len);
            let payload = String::from_utf8(payload).expect("a text");
            let rest = payload.strip_prefix(r#"{"fromUid":""#);
            let (uid, rest) = rest.and_then(|rest| rest.split_once('"')).expect("an id");
            assert_eq!(uid.len(), 6);
            return (words[1].to_owned(), rest.to_owned());
        }
    }
}

async fn server(url: &str) -> Server {
    let nats = Nats::new(url).expect("a URL of NATS");
    let io = Server::with_config(ServerConfig::default().cluster(nats));
    let io = io.expect("a valid configuration");
    let _admin = io.of("/admin");
    let cluster = io.cluster().expect("a cluster");
    eventually("it is there", async || cluster.state() == ClusterState::Up).await;
    cluster.settled().await;
    io
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcasts_have_the_form_of_nodes_adapter() {
    let Some(nats) = engines::nats("mickl") else {
        return;
    };
    let mut other = Other::new(nats.port()).await;
    let io = server(&format!("nats+mickl://{}", nats.hosts())).await;
    io.emit("hi", (1, serde_json::json!({}))).expect("sent");
    io.to("r").except("x").emit("hi", ()).expect("sent");
    io.of("/admin").emit("adm", ()).expect("sent");
    let rest = |data: &str, namespace: &str, opts: &str| {
        format!(r#","packet":{{"type":2,"data":{data},"nsp":"{namespace}"}},"opts":{opts}}}"#)
    };
    let all = r#"{"rooms":[],"except":[],"flags":{}}"#;
    let some = r#"{"rooms":["r"],"except":["x"],"flags":{}}"#;
    for (subject, payload) in [
        ("socketIO./", rest(r#"["hi",1,{}]"#, "/", all)),
        ("socketIO./", rest(r#"["hi"]"#, "/", some)),
        ("socketIO./admin", rest(r#"["adm"]"#, "/admin", all)),
    ] {
        assert_eq!(other.message().await, (subject.to_owned(), payload));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcasts_of_nodes_adapter_arrive() {
    let Some(nats) = engines::nats("mickl") else {
        return;
    };
    let mut other = Other::new(nats.port()).await;
    let io = server(&format!("nats+mickl://{}", nats.hosts())).await;
    io.on_connect(|socket: sockeye_server::Socket| socket.join("r"));
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect().await;
    for (data, room) in [
        (r#"["hi",1,{}]"#, ""),
        (r#"["no"]"#, r#""s""#),
        (r#"["hi"]"#, r#""r""#),
    ] {
        let payload = format!(
            r#"{{"fromUid":"DVhXxS","packet":{{"type":2,"data":{data},"nsp":"/"}},"opts":{{"rooms":[{room}],"except":["x"],"flags":{{}}}}}}"#
        );
        other.publish("socketIO./", &payload).await;
    }
    assert_eq!(peer.text().await, r#"2["hi",1,{}]"#);
    assert_eq!(peer.text().await, r#"2["hi"]"#);
    // Node's emitter is no server, and says so.
    let payload = r#"{"fromUid":"socket.io-nats-emitter","packet":{"type":2,"data":["bin",{"type":"Buffer","data":[1,2]}],"nsp":"/"},"opts":{"rooms":[],"except":[],"flags":{}}}"#;
    other.publish("socketIO./", payload).await;
    assert!(peer.text().await.starts_with("51-"), "bytes are bytes");
}

/// Nobody is asked, as nobody would answer; what cannot be said is told to be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_server_answers_for_itself() {
    let Some(nats) = engines::nats("mickl") else {
        return;
    };
    let url = format!("nats+mickl://{}", nats.hosts());
    let servers = [server(&url).await, server(&url).await];
    let io = &servers[0];
    let rig = ServerRig::memory(&servers[1]);
    let mut peer = rig.connect().await;
    assert_eq!(io.server_count().await, 1);
    assert_eq!(
        io.fetch_sockets().await.expect("nobody is missing").len(),
        0
    );
    io.sockets_join("r");
    let cluster = io.cluster().expect("a cluster");
    eventually("it is lost", async || cluster.counts().failed == 1).await;
    io.emit("x", 1).expect("sent");
    assert_eq!(peer.text().await, r#"2["x",1]"#);
    let undecodable = servers[1]
        .cluster()
        .expect("a cluster")
        .counts()
        .undecodable;
    assert_eq!(undecodable, 0);
}
