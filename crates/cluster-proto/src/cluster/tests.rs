//! What Node's adapters have written is read, and written again as it was.

use bytes::Bytes;
use sockeye_socket_proto::Args;

use super::*;
use crate::Event;
use crate::testing::{hex, made_here};

const SHARDED: &[&str] = &[
    r#"{"type":1,"uid":"50df8ab66de34575","nsp":"/"}"#,
    r#"{"type":2,"uid":"50df8ab66de34575","nsp":"/admin"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["hello",1,"x",{"a":null,"b":[true,1.5,-1,300,70000,5000000000]}]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["u",null,{}]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["hello"]},"opts":{"rooms":["room1","room2"],"except":["room3"],"flags":{}}},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["hello"]},"opts":{"rooms":[],"except":[],"flags":{"volatile":true,"compress":false}}},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":3,"data":{"packet":{"type":2,"data":["q",1]},"requestId":"21167e921f98c6af","opts":{"rooms":["iPuQ1qJgJKvp_-3CAAAA"],"except":[],"flags":{"expectSingleResponse":true,"timeout":1000}}},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":4,"data":{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["room9"]},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":5,"data":{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["room9","r10"]},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":6,"data":{"opts":{"rooms":["room1"],"except":[],"flags":{}},"close":true},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":7,"data":{"opts":{"rooms":["room1"],"except":[],"flags":{}},"requestId":"f8f9dc25459563ca"},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":8,"data":{"requestId":"f8f9dc25459563ca","sockets":[{"id":"iPuQ1qJgJKvp_-3CAAAA","handshake":{"headers":{"sec-websocket-version":"13","connection":"Upgrade","host":"127.0.0.1:39695"},"time":"Sun Nov 22 2026 03:26:11 GMT+0000 (Coordinated Universal Time)","address":"::ffff:127.0.0.1","xdomain":false,"secure":false,"issued":1795317971638,"url":"/socket.io/?EIO=4&transport=websocket","query":{"EIO":"4","transport":"websocket"},"auth":{}},"rooms":["iPuQ1qJgJKvp_-3CAAAA","room1"],"data":{"u":1}}]},"uid":"01f8b50c78cf8409","nsp":"/"}"#,
    r#"{"type":9,"data":{"packet":["ev",1,"a"]},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":9,"data":{"requestId":"9ab7237df4487ba0","packet":["ping1"]},"uid":"8c7cec449aa27f87","nsp":"/"}"#,
    r#"{"type":10,"data":{"requestId":"9ab7237df4487ba0","packet":"pong"},"uid":"01f8b50c78cf8409","nsp":"/"}"#,
    r#"{"type":11,"data":{"requestId":"9e9989ab0881e702","clientCount":1},"uid":"01f8b50c78cf8409","nsp":"/"}"#,
    r#"{"type":12,"data":{"requestId":"9e9989ab0881e702","packet":"ans"},"uid":"01f8b50c78cf8409","nsp":"/"}"#,
    r#"{"type":12,"data":{"requestId":"9e9989ab0881e702"},"uid":"01f8b50c78cf8409","nsp":"/"}"#,
    r#"{"type":13,"uid":"50df8ab66de34575","nsp":"/"}"#,
];

/// Of the sharded adapter (`notepack.io`) and the one on streams (`@msgpack/msgpack`).
const BINARY: &[&str] = &[
    // Broadcasts with bytes, and with a request.
    "84a47479706503a46461746182a67061636b657482a47479706502a46461746192a362696ec403010203a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a3756964b038633763656334343961613237663837a36e7370a12f",
    "84a47479706503a46461746183a67061636b657482a47479706502a46461746192a17101a9726571756573744964b032323539636131353964333330376131a46f70747383a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd03e8a3756964b037373365396634366437346133303265a36e7370a12f",
    "84a47479706503a46461746183a67061636b657482a47479706502a46461746192a17101a9726571756573744964b066383933333139343163666465396437a46f70747383a5726f6f6d7391b44a446934344a3737396971784f63706e41414141a665786365707490a5666c61677382b465787065637453696e676c65526573706f6e7365c3a774696d656f7574cd03e8a3756964b037373365396634366437346133303265a36e7370a12f",
    // Count and answers.
    "84a4747970650ba46461746182a9726571756573744964b032323539636131353964333330376131ab636c69656e74436f756e7401a3756964b038356165653938316531316436363036a36e7370a12f",
    "84a4747970650ca46461746182a9726571756573744964b032323539636131353964333330376131a67061636b6574a3616e73a3756964b038356165653938316531316436363036a36e7370a12f",
    "84a4747970650ca46461746182a9726571756573744964b034343132653839616261303634653135a67061636b6574c403010203a3756964b030316638623530633738636638343039a36e7370a12f",
    // A question for sockets.
    "84a47479706507a46461746182a46f70747383a5726f6f6d7391a5726f6f6d31a665786365707490a5666c61677380a9726571756573744964b066383066363135346665333166313331a3756964b037373365396634366437346133303265a36e7370a12f",
    // Server-side events and an answer.
    "84a47479706509a46461746181a67061636b657493a2657601a161a3756964b037373365396634366437346133303265a36e7370a12f",
    "84a47479706509a46461746182a9726571756573744964b066316261623038376438653837346431a67061636b657492a770696e6762696ec40107a3756964b038633763656334343961613237663837a36e7370a12f",
    "84a4747970650aa46461746182a9726571756573744964b066316261623038376438653837346431a67061636b6574c4020908a3756964b030316638623530633738636638343039a36e7370a12f",
];

fn decoded(frame: &Bytes) -> Envelope {
    decode(frame, &Limits::default()).unwrap_or_else(|error| panic!("{frame:?}: {error}"))
}

#[test]
fn what_node_writes_is_read_and_written_again() {
    let texts = SHARDED
        .iter()
        .map(|text| Bytes::from_static(text.as_bytes()));
    for frame in texts.chain(BINARY.iter().map(|text| hex(text))) {
        let Envelope {
            from,
            namespace,
            message,
        } = decoded(&frame);
        let (from, namespace) = (from.unwrap(), namespace.unwrap());
        assert_eq!(sender(&frame), Some(from.clone()));
        for message in [message.clone(), made_here(message)] {
            let mut out = Vec::new();
            match frame.starts_with(b"{") {
                true => encode_json(&mut out, &from, &namespace, &message),
                false => encode_msgpack(&mut out, &from, &namespace, &message),
            }
            .unwrap();
            assert_eq!(frame, out, "{message:?}");
        }
    }
}

#[test]
fn json_and_messagepack_say_the_same() {
    for text in SHARDED {
        let envelope = decoded(&Bytes::from_static(text.as_bytes()));
        let from = envelope.from.unwrap();
        let mut out = Vec::new();
        encode_msgpack(&mut out, &from, "/", &envelope.message).unwrap();
        let again = decoded(&out.into());
        let mut out = Vec::new();
        encode_json(
            &mut out,
            &from,
            &envelope.namespace.unwrap(),
            &again.message,
        )
        .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), *text);
    }
}

#[test]
fn only_bytes_make_a_message_binary() {
    for (args, first) in [
        (Args::new(&("x",)), b'{'),
        (Args::new(&(Bytes::from_static(b"x"),)), 0x84),
    ] {
        let message = Message::ServerSideEmit {
            event: Event::new("ev", args.unwrap().as_raw()),
            request: None,
        };
        let mut out = Vec::new();
        encode_json_unless_binary(&mut out, &NodeId::new("a"), "/", &message).unwrap();
        assert_eq!(out[0], first);
    }
}
