//! A client's wish to join a namespace, and what it says about itself with it.

use std::fmt::Write;

use serde::Serialize;

use super::error::{EncodeError, EncodeErrorKind};
use super::head::{Head, open};
use super::{write_json, write_strings};
use crate::members::Members;
use crate::name::read_name;
use crate::packet_type::PacketType;
use crate::revision::SocketRevision;

/// Encodes a client's wish to join a namespace. For `buf` and `headroom` see [`encode_event`](crate::encode_event).
///
/// In revision 5 `auth`, which must be an object, is the payload. `recovery` is the secret id and the last offset of a
/// session that may be restored, put in under the keys `pid` and `offset` unless `auth` has these itself.
///
/// In revision 4 `query` hangs on the namespace, given here as it goes onto the wire, and `auth` becomes a part of it as
/// [`auth_query`] has it. What the revision has no place for is left out.
///
/// # Errors
///
/// When `auth` cannot be encoded or is not an object. `null`, as an `Option` may become, counts as none.
pub fn encode_connect_request<T: Serialize + ?Sized>(
    buf: &mut Vec<u8>,
    headroom: usize,
    revision: SocketRevision,
    namespace: &str,
    query: Option<&str>,
    auth: Option<&T>,
    recovery: Option<(&str, &str)>,
) -> Result<usize, EncodeError> {
    let with_query;
    let namespace = match revision {
        SocketRevision::V5 => namespace,
        SocketRevision::V4 => {
            with_query = namespace_with_query(namespace, query, auth)?;
            &with_query
        }
    };
    let body = open(buf, headroom, namespace);
    if revision == SocketRevision::V5 {
        write_payload(buf, auth, recovery)?;
    }
    Ok(Head::new(buf, body).write(PacketType::Connect, None, namespace, None))
}

/// The members of `auth`, which must be an object, as a query: what revision 4 has instead.
///
/// Strings stand for themselves and other values for their JSON; `null` is left out. Everything is percent-encoded except
/// what JavaScript's `encodeURIComponent` leaves alone. As nobody asks to join `/` in revision 4, the query for that
/// belongs into the URL of the session.
///
/// # Errors
///
/// As [`encode_connect_request`].
pub fn auth_query<T: Serialize + ?Sized>(auth: &T) -> Result<String, EncodeError> {
    let mut json = Vec::new();
    write_object(&mut json, auth)?;
    let mut query = String::new();
    let Some(mut members) = Members::open(written(&json)) else {
        return Ok(query);
    };
    while let Ok(Some(member)) = members.next() {
        if member.value == "null" {
            continue;
        }
        if !query.is_empty() {
            query.push('&');
        }
        percent_encode(&member.key, &mut query);
        query.push('=');
        match read_name(member.value, 0) {
            Ok((string, _)) if member.value.starts_with('"') => {
                percent_encode(&string, &mut query);
            }
            _ => percent_encode(member.value, &mut query),
        }
    }
    Ok(query)
}

fn namespace_with_query<T: Serialize + ?Sized>(
    namespace: &str,
    query: Option<&str>,
    auth: Option<&T>,
) -> Result<String, EncodeError> {
    let auth = match auth {
        Some(auth) => auth_query(auth)?,
        None => String::new(),
    };
    // The namespace ends with the first comma.
    let query = query.unwrap_or_default().replace(',', "%2C");
    let mut text = namespace.to_owned();
    for (part, before) in [(query, '?'), (auth, '&')] {
        if !part.is_empty() {
            text.push(if text.len() == namespace.len() {
                '?'
            } else {
                before
            });
            text.push_str(&part);
        }
    }
    Ok(text)
}

/// Appends the payload of revision 5.
fn write_payload<T: Serialize + ?Sized>(
    buf: &mut Vec<u8>,
    auth: Option<&T>,
    recovery: Option<(&str, &str)>,
) -> Result<(), EncodeError> {
    #[derive(Serialize)]
    struct Recovery<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<&'a str>,
    }
    let start = buf.len();
    if let Some(auth) = auth {
        write_object(buf, auth)?;
    }
    let Some((pid, offset)) = recovery else {
        return Ok(());
    };
    let auth = buf.split_off(start);
    let mut recovery = Recovery {
        pid: Some(pid),
        offset: Some(offset),
    };
    if let Some(mut members) = Members::open(written(&auth)) {
        while let Ok(Some(member)) = members.next() {
            match &*member.key {
                "pid" => recovery.pid = None,
                "offset" => recovery.offset = None,
                _ => {}
            }
        }
    }
    write_strings(buf, &recovery);
    if auth.len() > "{}".len() {
        buf.pop();
        if buf.len() > start + 1 {
            buf.push(b',');
        }
        buf.extend_from_slice(&auth[1..]);
    }
    Ok(())
}

/// Appends `value` as an object, or nothing if it is `null`.
fn write_object<T: Serialize + ?Sized>(buf: &mut Vec<u8>, value: &T) -> Result<(), EncodeError> {
    let start = buf.len();
    write_json(buf, value).map_err(EncodeError::of_auth)?;
    match &buf[start..] {
        [b'{', ..] => Ok(()),
        b"null" => {
            buf.truncate(start);
            Ok(())
        }
        _ => Err(EncodeError::from(EncodeErrorKind::NotAnObject).of_auth()),
    }
}

fn written(json: &[u8]) -> &str {
    std::str::from_utf8(json).expect("serde_json writes UTF-8")
}

fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("a String takes everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use SocketRevision::{V4, V5};

    fn request(
        revision: SocketRevision,
        namespace: &str,
        query: Option<&str>,
        auth: Option<&Value>,
        recovery: Option<(&str, &str)>,
    ) -> Result<String, EncodeError> {
        let mut buf = b"old".to_vec();
        let start =
            encode_connect_request(&mut buf, 5, revision, namespace, query, auth, recovery)?;
        assert!(start >= 5, "headroom");
        Ok(String::from_utf8(buf.split_off(start)).unwrap())
    }

    #[test]
    fn payload_of_revision_5_is_the_auth_object() {
        let v5 = |namespace: &str, auth: Value| {
            request(V5, namespace, Some("token=a"), Some(&auth), None).unwrap()
        };
        assert_eq!(
            v5("/chat", json!({"token": "t0"})),
            r#"0/chat,{"token":"t0"}"#
        );
        assert_eq!(v5("/", json!({})), "0{}");
        assert_eq!(v5("/", Value::Null), "0");
        assert_eq!(request(V5, "/", None, None, None).unwrap(), "0");
        assert_eq!(request(V5, "/é", None, None, None).unwrap(), "0/é,");
    }

    #[test]
    fn recovery_is_put_under_the_auth_object() {
        let v5 = |auth: Option<Value>| {
            request(V5, "/", None, auth.as_ref(), Some(("P\"", "O"))).unwrap()
        };
        let recovery = r#"0{"pid":"P\"","offset":"O"}"#;
        assert_eq!(v5(None), recovery);
        assert_eq!(v5(Some(json!({}))), recovery);
        assert_eq!(v5(Some(json!(null))), recovery);
        assert_eq!(
            v5(Some(json!({"a": {"pid": 1}}))),
            r#"0{"pid":"P\"","offset":"O","a":{"pid":1}}"#
        );
        assert_eq!(v5(Some(json!({"pid": 1}))), r#"0{"offset":"O","pid":1}"#);
        assert_eq!(
            v5(Some(json!({"offset": 2, "pid": 1}))),
            r#"0{"offset":2,"pid":1}"#
        );
    }

    #[test]
    fn revision_4_has_a_query_instead() {
        let auth = json!({"token": "a,b?c&d=é !", "n": 1, "k": [true], "none": null});
        let v4 = |namespace: &str, query, auth| {
            request(V4, namespace, query, auth, Some(("P", "O"))).unwrap()
        };
        let empty = json!({});
        let encoded = "k=%5Btrue%5D&n=1&token=a%2Cb%3Fc%26d%3D%C3%A9%20!";
        assert_eq!(auth_query(&auth).unwrap(), encoded);
        assert_eq!(v4("/x", None, None), "0/x,");
        assert_eq!(v4("/x", Some(""), Some(&empty)), "0/x,");
        assert_eq!(v4("/x", Some("q=1,2"), None), "0/x?q=1%2C2,");
        assert_eq!(v4("/x", None, Some(&auth)), format!("0/x?{encoded},"));
        assert_eq!(
            v4("/x", Some("q"), Some(&auth)),
            format!("0/x?q&{encoded},")
        );
        assert_eq!(v4("/", None, None), "0");
        assert_eq!(v4("/", Some("q"), None), "0/?q,");
    }

    #[test]
    fn auth_must_be_an_object() {
        for revision in [V4, V5] {
            for auth in [json!([1]), json!("a"), json!(1), json!(true)] {
                let error = request(revision, "/x", None, Some(&auth), None).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    "cannot encode the auth payload: it is not an object"
                );
            }
        }
    }
}
