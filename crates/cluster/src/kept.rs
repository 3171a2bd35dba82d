//! Kept sockets, in the form in which servers keep them for each other.

use serde_json::{Map, Value as Json, json};
use sockeye_adapter::KeptSocket;
use sockeye_cluster_proto::{DecodeError, EncodeError, Limits, Session, Value};
use sockeye_socket_proto::RawArgs;

/// What is to be kept of a socket. What has the form of Node's Buffer in its data are bytes there.
///
/// # Errors
///
/// When what the application has stored with it cannot be encoded.
pub fn session_of(socket: &KeptSocket) -> Result<Session, EncodeError> {
    let data = socket.data.as_ref().map(Json::to_string);
    // Node's servers take it for an object without looking.
    let data = format!("[{}]", data.as_deref().unwrap_or("{}"));
    let data = RawArgs::from_array(&data).map_err(|error| EncodeError::Received(error.into()))?;
    Ok(Session {
        sid: socket.id.clone(),
        pid: socket.pid.clone(),
        rooms: socket.rooms.clone(),
        data: Value::first(&data.with_buffers().to_args()),
    })
}

/// The socket that was kept. Bytes in its data have the form of Node's Buffer.
///
/// # Errors
///
/// When what was stored with it is broken.
pub fn socket_of(session: Session, limits: &Limits) -> Result<KeptSocket, DecodeError> {
    let mut socket = KeptSocket::new(session.pid, session.sid);
    socket.rooms = session.rooms;
    if let Some(data) = session.data {
        let args = data.decode(limits)?;
        let data = args.as_raw().arg(0).map(|data| data.deserialize());
        let data = data.transpose();
        let mut data: Option<Json> = data.map_err(|_| DecodeError::Expected("data"))?;
        if let Some(data) = data.as_mut().filter(|_| !args.attachments().is_empty()) {
            fill(data, args.attachments());
        }
        socket.data = data;
    }
    Ok(socket)
}

/// Puts bytes where their placeholders are. The nesting is what serde_json has let through.
fn fill(json: &mut Json, attachments: &[bytes::Bytes]) {
    match json {
        Json::Array(items) => {
            for item in items {
                fill(item, attachments);
            }
        }
        Json::Object(map) => match attachment(map, attachments) {
            Some(bytes) => *json = json!({ "type": "Buffer", "data": bytes }),
            None => {
                for item in map.values_mut() {
                    fill(item, attachments);
                }
            }
        },
        _ => {}
    }
}

fn attachment<'a>(map: &Map<String, Json>, attachments: &'a [bytes::Bytes]) -> Option<&'a [u8]> {
    (map.get("_placeholder")? == &Json::Bool(true)).then_some(())?;
    let number = usize::try_from(map.get("num")?.as_u64()?).ok()?;
    Some(attachments.get(number)?)
}

#[cfg(test)]
mod tests {
    use sockeye_cluster_proto::streams::{decode_session, encode_session};

    use super::*;

    /// As Node's `@socket.io/redis-streams-adapter` has saved it.
    const SAVED: &str = "hKNzaWS0V1VqQzZBTEViNV9NRFFpWUFBQUGjcGlktFBJNFp4c3JfOVRHLTVMbW5BQUFCpXJvb21zkrRXVWpDNkF\
                         MRWI1X01EUWlZQUFBQaFypGRhdGGBoXjEAQE=";

    #[test]
    fn session_of_nodes_is_taken_over_and_given_back_byte_for_byte() {
        let limits = Limits::default();
        let session = decode_session(SAVED.as_bytes(), &limits).unwrap();
        let socket = socket_of(session, &limits).unwrap();
        assert_eq!(&*socket.id, "WUjC6ALEb5_MDQiYAAAA");
        assert_eq!(socket.rooms.len(), 2);
        let buffer = json!({ "x": { "type": "Buffer", "data": [1] } });
        assert_eq!(socket.data, Some(buffer));
        let session = session_of(&socket).unwrap();
        assert_eq!(encode_session(&session).unwrap(), SAVED);
    }

    #[test]
    fn socket_without_data_has_an_empty_object_for_nodes() {
        let limits = Limits::default();
        let socket = KeptSocket::new("pid".into(), "sid".into());
        let session = session_of(&socket).unwrap();
        let session = encode_session(&session).unwrap();
        let session = decode_session(session.as_bytes(), &limits).unwrap();
        let socket = socket_of(session, &limits).unwrap();
        assert_eq!(socket.data, Some(json!({})));
    }
}
