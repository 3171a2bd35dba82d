//! Which transports are tried, and what they say of themselves.

use parking_lot::Mutex;
use sockeye_dial::transport::{OpenedTransport, Opening, Transport, TransportTarget};
use sockeye_dial::{ConnectorConfig, OpenError};
use sockeye_engine::{Agreed, Io, Probe, SessionLimits, TransportKind, Wire};
use sockeye_listen::EngineConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::rig::{
    OPEN, Peer, accept, answer, connector, open, raw, read_head, request, serve, until, within,
};

const POLLING: TransportKind = TransportKind::Polling;
const WEBSOCKET: TransportKind = TransportKind::WebSocket;

#[tokio::test]
async fn each_request_has_the_options_of_its_transport() {
    let config = ConnectorConfig::default()
        .transport_options(POLLING, |polling| {
            polling.header("x-way".parse().unwrap(), "slow".parse().unwrap())
        })
        .transport_options(WEBSOCKET, |websocket| {
            websocket
                .path("/sockets")
                .query([("edge", "eu")])
                .header("x-way".parse().unwrap(), "fast".parse().unwrap())
        });
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}/?token=t");
    let (peer, (polls, upgrades)) = tokio::join!(open(config, &url), async {
        let (mut polls, mut upgrades) = (Vec::new(), Vec::new());
        let mut streams = Vec::new();
        // A request for the session, and then one to read from it beside the handshake, which may use the same connection.
        while polls.len() < 2 || upgrades.is_empty() {
            let mut stream = accept(&listener).await;
            loop {
                let head = read_head(&mut stream).await;
                if head.contains("transport=websocket") {
                    upgrades.push(head);
                    break;
                }
                polls.push(head);
                if polls.len() > 1 {
                    break;
                }
                let open = r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}"#;
                let length = open.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{open}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            streams.push(stream);
        }
        (polls, upgrades)
    });
    peer.unwrap().vanish();
    for poll in polls {
        let start = "GET /engine.io/?token=t&EIO=4&transport=polling";
        assert!(
            poll.starts_with(start) && poll.contains("x-way: slow"),
            "{poll}"
        );
    }
    let start = "GET /sockets/?token=t&edge=eu&EIO=4&transport=websocket&sid=abc HTTP/1.1\r\n";
    let [upgrade] = &upgrades[..] else {
        panic!("{upgrades:?}")
    };
    assert!(
        upgrade.starts_with(start) && upgrade.contains("x-way: fast"),
        "{upgrade}"
    );
}

#[tokio::test]
async fn transports_may_change_from_one_request_to_the_next() {
    let (_rig, url) = serve(EngineConfig::default(), "http://127.0.0.1:0").await;
    let connector = connector(ConnectorConfig::default().upgrade(false));
    let open = async |transports: &[TransportKind]| {
        let request = request(&url).transports(transports.iter().copied());
        within(Peer::open_with(&connector, request)).await
    };
    for transport in [WEBSOCKET, POLLING, WEBSOCKET] {
        let peer = open(&[transport]).await.unwrap();
        assert_eq!(peer.opened.transport, transport);
    }
    let error = open(&[]).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::NoTransport), "{error:?}");
    let error = open(&[POLLING, TransportKind::Tcp]).await.map(|_| ());
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "tcp is no transport over http");
    assert!(!error.is_retryable());
    // Whoever asks for nothing in particular has what is configured.
    let configured = connector.request(url.parse().unwrap());
    assert_eq!(configured.transports, Some(vec![POLLING, WEBSOCKET]));
}

#[tokio::test]
async fn session_stays_on_polling_if_the_request_knows_nothing_else() {
    let (_rig, url) = serve(EngineConfig::default(), "http://127.0.0.1:0").await;
    let connector = connector(ConnectorConfig::default());
    let request = request(&url).transports([POLLING]);
    let mut peer = within(Peer::open_with(&connector, request)).await.unwrap();
    for text in ["one", "two"] {
        peer.text(text);
        assert_eq!(peer.seen().await, sockeye_testkit::Seen::Text(text.into()));
    }
    assert_eq!(peer.opened.session.transport(), POLLING);
}

/// Takes one session over, by a stream to the test.
#[derive(Debug)]
struct Once(Mutex<Option<DuplexStream>>);

impl Transport for Once {
    fn kind(&self) -> TransportKind {
        TransportKind::WebTransport
    }

    fn open(&self, _: TransportTarget) -> Opening<OpenedTransport> {
        Box::pin(async { Err("it opens no session".into()) })
    }

    fn upgrade(&self, _: TransportTarget) -> Opening<Box<dyn Probe>> {
        let stream = self.0.lock().take().expect("one session");
        let io = Io::Boxed(Box::new(Box::pin(stream)));
        let wire = Wire::native(io, &[], &SessionLimits::default());
        let probe = wire.probe(self.kind(), Agreed::Nothing);
        Box::pin(async { Ok(probe) })
    }
}

#[tokio::test]
async fn transport_that_took_over_is_begun_with_if_it_is_remembered() {
    let (near, mut far) = tokio::io::duplex(1024);
    let kinds = [POLLING, WEBSOCKET, TransportKind::WebTransport];
    let config = ConnectorConfig::default()
        .transport(Once(Mutex::new(Some(near))))
        .transports(kinds)
        .remember_upgrade(true);
    let connector = connector(config);
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    let server = async {
        let mut polls = accept(&listener).await;
        assert!(read_head(&mut polls).await.starts_with("GET "));
        let open = OPEN.replace("[]", r#"["webtransport"]"#);
        answer(&mut polls, "200 OK", &open).await;
        assert!(read_head(&mut polls).await.starts_with("GET "));
        polls
    };
    let (peer, mut polls) = tokio::join!(within(Peer::open(&connector, &url)), server);
    let session = peer.unwrap().opened.session;
    let mut frame = [0; 7];
    within(far.read_exact(&mut frame)).await.unwrap();
    assert_eq!(&frame, b"\x062probe");
    far.write_all(b"\x063probe").await.unwrap();
    answer(&mut polls, "200 OK", "6").await;
    until(|| session.transport() == TransportKind::WebTransport).await;

    let error = within(Peer::open(&connector, &url)).await.map(|_| ());
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "no session over webtransport");
}
