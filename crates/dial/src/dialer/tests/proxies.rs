use std::future::poll_fn;

use bytes::Bytes;
use http::HeaderMap;
use sockeye_testkit::EngineRig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::PostBody;
use super::http::read_request;
use super::{DialConfig, DialError, Dialer, ProxyUrl, local, url, with};
use sockeye_engine::Socket;

fn through(proxy: &str) -> Dialer {
    let proxy: ProxyUrl = proxy.parse().unwrap();
    with(DialConfig::default().proxy(Some(proxy))).unwrap()
}

/// A proxy, its address, and what it was asked.
pub(super) struct Proxy {
    pub(super) address: String,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Proxy {
    pub(super) async fn http(refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let request = read_request(&mut stream).await.unwrap();
                    let target = request.split(' ').nth(1).unwrap().to_owned();
                    sender.send(request).unwrap();
                    if let Some(refusal) = refusal {
                        stream.write_all(refusal.as_bytes()).await.unwrap();
                        return;
                    }
                    let mut server = TcpStream::connect(target).await.unwrap();
                    let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
                    stream.write_all(answer).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { address, asked }
    }

    /// RFC 1928, and RFC 1929 if there is a login; connects to `server` whatever it is asked.
    pub(super) async fn socks(login: Option<(&'static str, &'static str)>, server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (server, sender) = (server.clone(), sender.clone());
                tokio::spawn(async move {
                    let _ = serve_socks(&mut stream, login, &server, &sender).await;
                });
            }
        });
        Self { address, asked }
    }
}

async fn serve_socks(
    stream: &mut TcpStream,
    login: Option<(&str, &str)>,
    server: &str,
    asked: &mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    assert_eq!(stream.read_u8().await?, 5);
    let mut methods = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut methods).await?;
    let method = if login.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        return stream.write_all(&[5, 0xff]).await;
    }
    stream.write_all(&[5, method]).await?;
    if let Some((user, password)) = login {
        assert_eq!(stream.read_u8().await?, 1);
        let mut given = [Vec::new(), Vec::new()];
        for field in &mut given {
            field.resize(stream.read_u8().await?.into(), 0);
            stream.read_exact(field).await?;
        }
        if given != [user.as_bytes(), password.as_bytes()] {
            return stream.write_all(&[1, 1]).await;
        }
        stream.write_all(&[1, 0]).await?;
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    assert_eq!(head[..3], [5, 1, 0]);
    let host = match head[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        4 => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
        _ => {
            let mut name = vec![0; stream.read_u8().await?.into()];
            stream.read_exact(&mut name).await?;
            String::from_utf8(name).unwrap()
        }
    };
    let port = stream.read_u16().await?;
    asked.send(format!("{host} {port}")).unwrap();
    let Ok(mut server) = TcpStream::connect(server).await else {
        return stream.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    };
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(stream, &mut server).await.map(drop)
}

#[tokio::test]
async fn sessions_go_through_an_http_proxy() {
    let mut rig = EngineRig::tcp(Default::default()).await;
    let mut proxy = Proxy::http(None).await;
    let dialer = through(&format!("http://user:p%40ss@{}", proxy.address));
    let url = url(&format!("http://{}", rig.net.address()));
    let target = "/engine.io/?EIO=4&transport=polling";
    let open = dialer.request(&url, target, &HeaderMap::new(), None).await;
    assert!(open.unwrap().body.starts_with(b"0{"));
    rig.session().await;
    let request = proxy.asked.recv().await.unwrap();
    let authority = rig.net.address();
    assert!(request.starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")));
    for line in [
        format!("host: {authority}\r\n"),
        "proxy-authorization: Basic dXNlcjpwQHNz\r\n".to_owned(),
    ] {
        assert!(request.contains(&line), "{request}");
    }

    let target = "/engine.io/?EIO=4&transport=websocket";
    let opened = dialer
        .websocket(&url, target, &HeaderMap::new(), None)
        .await;
    assert!(matches!(opened.unwrap().io.direct(), Some(Socket::Tcp(_))));
    rig.session().await;
}

#[tokio::test]
async fn port_is_always_said_to_an_http_proxy() {
    let mut proxy = Proxy::http(Some("HTTP/1.1 502 Bad Gateway\r\n\r\n")).await;
    let dialer = through(&format!("http://{}", proxy.address));
    for (place, asked) in [
        ("http://name.invalid", "name.invalid:80"),
        ("ws://[::1]", "[::1]:80"),
        ("tcp://name.invalid:5", "name.invalid:5"),
    ] {
        dialer.stream(&url(place)).await.unwrap_err();
        let request = proxy.asked.recv().await.unwrap();
        assert!(request.starts_with(&format!("CONNECT {asked} HTTP/1.1\r\n")));
        assert!(!request.contains("authorization"));
    }
}

#[tokio::test]
async fn refusal_of_an_http_proxy_is_told_without_the_password() {
    for (answer, cause) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "it wants another user name and password (407)",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\nno",
            "it answered 403 Forbidden",
        ),
    ] {
        let proxy = Proxy::http(Some(answer)).await;
        let dialer = through(&format!("http://user:secret@{}", proxy.address));
        let error = dialer.stream(&url("http://a.invalid")).await.unwrap_err();
        let text = error.to_string();
        let proxy = &proxy.address;
        assert_eq!(
            text,
            format!("the proxy http://{proxy} does not connect to http://a.invalid")
        );
        let DialError::Proxy { source, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(source.to_string(), cause);
        assert!(!format!("{error:?} {dialer:?}").contains("secret"));
    }
}

/// A server of lines may greet its peer, so that its first words come together with the proxy's last.
#[tokio::test]
async fn what_a_server_says_first_comes_through_a_proxy() {
    const GREETING: &[u8] = b"[\"hello\"]\n";
    let socks: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let domain: &[u8] = &[5, 0, 0, 3, 2, b'a', b'b', 0, 1];
    let cases: [(&str, &[&[u8]]); 5] = [
        ("http://", &[b"HTTP/1.1 200 OK\r\n\r\n"]),
        // Any of them means that there is a tunnel, and that there is no body (RFC 9110, section 9.3.6).
        (
            "http://",
            &[b"HTTP/1.1 299 Yes\r\nContent-Length: 3\r\n\r\n"],
        ),
        ("socks5://", &[&[5, 0], socks]),
        ("socks5://", &[&[5, 0], domain]),
        ("socks5://user:pass@", &[&[5, 2], &[1, 0], socks]),
    ];
    for (scheme, answers) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialer = through(&format!("{scheme}{}", listener.local_addr().unwrap()));
        let url = url("tcp://a.invalid:1");
        let (opened, ()) = tokio::join!(dialer.stream(&url), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (last, before) = answers.split_last().unwrap();
            for answer in before {
                assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
                stream.write_all(answer).await.unwrap();
            }
            assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
            stream.write_all(&[*last, GREETING].concat()).await.unwrap();
        });
        let mut io = opened.unwrap();
        let mut read = [0; GREETING.len()];
        let len = poll_fn(|cx| io.poll_read(cx, &mut read)).await.unwrap();
        assert_eq!(&read[..len], GREETING, "{scheme}");
    }
}

/// Such connections are few on small servers, and one on which nothing is said is held until it times out.
#[tokio::test]
async fn connection_that_was_made_for_a_request_carries_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialer = through(&format!("http://{}", listener.local_addr().unwrap()));
    let (url, none) = (url("http://a.invalid"), HeaderMap::new());
    let tunnel = b"HTTP/1.1 200 OK\r\n\r\n";
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2";

    let get = tokio::spawn(dialer.request(&url, "/", &none, None));
    let (mut first, _) = listener.accept().await.unwrap();
    read_request(&mut first).await.unwrap();
    first.write_all(tunnel).await.unwrap();
    read_request(&mut first).await.unwrap();

    let body = PostBody::Text(Bytes::from_static(b"2"));
    let post = tokio::spawn(dialer.request(&url, "/", &none, Some(body)));
    let (mut second, _) = listener.accept().await.unwrap();
    read_request(&mut second).await.unwrap();
    // The first connection is at rest before the second one can be used.
    first.write_all(ok).await.unwrap();
    get.await.unwrap().unwrap();
    second.write_all(tunnel).await.unwrap();
    let request = read_request(&mut second).await.unwrap();
    assert!(request.starts_with("POST "), "{request}");
    second.write_all(ok).await.unwrap();
    post.await.unwrap().unwrap();
}

#[tokio::test]
async fn proxy_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "socks5"] {
        let dialer = through(&format!("{scheme}://{address}"));
        let error = dialer.stream(&url("tcp://a.invalid:1")).await.unwrap_err();
        assert!(matches!(error, DialError::Proxy { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("{scheme}://{address}")));
    }
}

#[tokio::test]
async fn sessions_go_through_a_socks_proxy() {
    let mut rig = EngineRig::tcp(Default::default()).await;
    let server = rig.net.address().to_string();
    for login in [None, Some(("user", "pass"))] {
        let mut proxy = Proxy::socks(login, server.clone()).await;
        let user = login.map_or("", |_| "user:pass@");
        let dialer = through(&format!("socks5://{user}{}", proxy.address));
        for (place, asked) in [
            ("ws://name.invalid", "name.invalid 80"),
            ("ws://127.0.0.1:5", "127.0.0.1 5"),
            ("ws://[::1]:5", "::1 5"),
        ] {
            let target = "/engine.io/?EIO=4&transport=websocket";
            let (place, none) = (url(place), HeaderMap::new());
            let opened = dialer.websocket(&place, target, &none, None);
            assert!(matches!(
                opened.await.unwrap().io.direct(),
                Some(Socket::Tcp(_))
            ));
            assert_eq!(proxy.asked.recv().await.unwrap(), asked);
            rig.session().await;
        }
    }
}

#[tokio::test]
async fn refusal_of_a_socks_proxy_is_told() {
    let nowhere = "127.0.0.1:1".to_owned();
    let proxy = Proxy::socks(Some(("user", "pass")), nowhere.clone()).await;
    for login in ["", "user:wrong@", "user:pass@"] {
        let dialer = through(&format!("socks5://{login}{}", proxy.address));
        let error = dialer.stream(&url("tcp://a.invalid:1")).await.unwrap_err();
        assert!(matches!(error, DialError::Proxy { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("wrong"));
    }
}

#[tokio::test]
async fn address_with_a_zone_means_nothing_to_a_proxy() {
    for scheme in ["http", "socks5"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialer = through(&format!("{scheme}://{}", listener.local_addr().unwrap()));
        let place = url("tcp://[fe80::1%lo]:1");
        let Err(DialError::Proxy { source, .. }) = dialer.stream(&place).await else {
            panic!("{scheme}")
        };
        let text = "the host has no form that can be asked for";
        assert_eq!(source.to_string(), text);
    }
}

#[tokio::test]
async fn unix_sockets_need_no_proxy() {
    let error = through("http://127.0.0.1:1")
        .stream(&url("/nobody/here.sock"))
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::Unix { .. }), "{error:?}");
}

#[tokio::test]
async fn garbage_of_a_proxy_is_an_error() {
    for scheme in ["http", "socks5"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = local("http", &listener).authority();
        let dialer = through(&format!("{scheme}://{proxy}"));
        let url = url("tcp://a.invalid:1");
        let (opened, ()) = tokio::join!(dialer.stream(&url), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&Bytes::from(vec![7; 4096])).await.unwrap();
            // What is left unread would reset the connection before the answer is seen.
            let _ = stream.read(&mut [0; 4096]).await;
        });
        assert!(matches!(opened, Err(DialError::Proxy { .. })), "{opened:?}");
    }
}
