//! The headers of both sides of the opening handshake.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_websocket::handshake::{ClientRequest, verify_request};
use sockeye_websocket::{DeflateConfig, parse_extensions};

fuzz_target!(|data: &[u8]| {
    let headers = || {
        data.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((
                std::str::from_utf8(&line[..colon]).ok()?,
                &line[colon + 1..],
            ))
        })
    };
    match verify_request("GET", (1, 1), headers()) {
        Ok(accepted) => {
            let protocol = accepted.pick_protocol(&["chat", "sockeye"]);
            let deflate = accepted.accept_deflate(&DeflateConfig::default());
            if let Some(agreed) = deflate {
                assert!((9..=15).contains(&agreed.window_bits()));
            }
            for (_, value) in accepted.response_headers(protocol, deflate) {
                // Whatever the request said, it must not split the response.
                assert!(!value.contains(['\r', '\n']));
            }
        }
        Err(error) => {
            assert!((400..500).contains(&error.status()));
            let _ = error.headers();
        }
    }
    let request = ClientRequest::new(*b"the sample nonce")
        .protocols(&["chat"])
        .deflate(Some(DeflateConfig::default()));
    if let Ok(accepted) = request.verify(101, headers()) {
        assert!(matches!(accepted.protocol, None | Some("chat")));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = parse_extensions(text);
    }
});
