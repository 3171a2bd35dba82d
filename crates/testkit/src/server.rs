use sockeye_engine_proto::Message;
use sockeye_server::{Listener, Server};

use crate::{Case, Client, Net};

/// A server, and the way there.
#[derive(Debug)]
pub struct ServerRig {
    /// The server.
    pub io: Server,
    /// The way there.
    pub net: Net,
    /// The listener, if it is on TCP.
    pub listener: Option<Listener>,
}

/// A client of Socket.IO that is told every packet, as text.
#[derive(Debug)]
pub struct Peer {
    /// The engine's client below.
    pub client: Client,
    /// The id of the socket in the namespace that was joined last.
    pub id: String,
}

impl ServerRig {
    /// Serves on a port of its own.
    pub async fn tcp(io: &Server) -> Self {
        let listener = io.listen("http://127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        Self {
            io: io.clone(),
            net: Net::tcp(
                listener.local_addr().expect("a network address"),
                "/socket.io/",
            ),
            listener: Some(listener),
        }
    }

    /// Serves in memory.
    #[must_use]
    pub fn memory(io: &Server) -> Self {
        Self {
            io: io.clone(),
            net: Net::memory(io.service(), "/socket.io/"),
            listener: None,
        }
    }

    /// A client on a WebSocket that has joined `/`.
    pub async fn connect(&self) -> Peer {
        self.connect_as(Case::WEBSOCKET).await
    }

    /// A client that has joined `/`.
    pub async fn connect_as(&self, case: Case) -> Peer {
        let mut peer = Peer::open(&self.net, case).await;
        peer.join("/").await;
        peer
    }

    /// This many clients on WebSockets that have joined `/`.
    pub async fn connect_many(&self, count: usize) -> Vec<Peer> {
        let mut peers = Vec::with_capacity(count);
        for _ in 0..count {
            peers.push(self.connect().await);
        }
        peers
    }
}

impl Peer {
    /// A client that has joined nothing.
    pub async fn open(net: &Net, case: Case) -> Self {
        Self {
            client: Client::open(net, case).await,
            id: String::new(),
        }
    }

    /// Joins a namespace and waits for the answer. A client of revision 3 is in `/` already, and
    /// only waits.
    pub async fn join(&mut self, namespace: &str) {
        self.join_with(namespace, "").await;
    }

    /// Joins a namespace with auth data (JSON), and waits for the answer.
    pub async fn join_with(&mut self, namespace: &str, auth: &str) {
        let prefix = match namespace {
            "/" => String::new(),
            other => format!("{other},"),
        };
        if !self.client.case().is_v3() || namespace != "/" {
            self.send(&format!("0{prefix}{auth}")).await;
        }
        self.joined(namespace).await;
    }

    /// Waits for the answer to a request to join `/` that was sent before.
    pub async fn join_answer(&mut self) {
        self.joined("/").await;
    }

    async fn joined(&mut self, namespace: &str) {
        let prefix = match namespace {
            "/" => "0".to_owned(),
            other => format!("0{other},"),
        };
        let answer = self.text().await;
        let rest = answer.strip_prefix(&prefix);
        let rest = rest.unwrap_or_else(|| panic!("{answer:?} instead of a welcome"));
        self.id = match (self.client.case().is_v3(), namespace) {
            (true, "/") => self.client.sid().to_owned(),
            (true, other) => format!("{other}#{}", self.client.sid()),
            (false, _) => rest
                .strip_prefix(r#"{"sid":""#)
                // Behind it may be the private id, and an offset.
                .and_then(|rest| Some(rest.split_once('"')?.0))
                .unwrap_or_else(|| panic!("{answer:?} has no id"))
                .to_owned(),
        };
    }

    /// Sends a packet's text.
    pub async fn send(&mut self, text: &str) {
        self.client.send_text(text).await;
    }

    /// Sends an attachment.
    pub async fn send_binary(&mut self, data: &[u8]) {
        self.client.send_binary(data).await;
    }

    /// Waits for a packet's text.
    pub async fn text(&mut self) -> String {
        self.client.text().await
    }

    /// Waits for an attachment.
    pub async fn binary(&mut self) -> Vec<u8> {
        match self.client.message().await {
            Some(Message::Binary(data)) => data.into_owned(),
            other => panic!("{other:?} instead of an attachment"),
        }
    }

    /// Waits for a packet with exactly this text.
    pub async fn expect(&mut self, text: &str) {
        assert_eq!(self.text().await, text);
    }

    /// Sends an event that is answered, and sees to it that the answer is the next packet: so
    /// nothing else has come before it.
    ///
    /// It needs a handler of `echo` in `/` that answers with its argument, and an id that was
    /// not used before.
    pub async fn expect_nothing(&mut self, ack_id: u32) {
        self.send(&format!(r#"2{ack_id}["echo","sync"]"#)).await;
        self.expect(&format!(r#"3{ack_id}["sync"]"#)).await;
    }

    /// Waits for the end of the session, and of the connection if there is one.
    pub async fn ended(&mut self) {
        while self.client.message().await.is_some() {}
        self.client.hung_up().await;
    }
}
