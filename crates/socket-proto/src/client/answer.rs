//! What the server says about a namespace that we asked for.

use std::borrow::Cow;

use crate::members::Members;
use crate::name::read_name;
use crate::revision::SocketRevision;

/// `sid`, `pid` and `offset` of a CONNECT packet, which is empty or a valid object.
pub(super) fn read_accepted(payload: &str) -> [Option<Cow<'_, str>>; 3] {
    let id = |value: Option<_>| value.and_then(read_string).filter(|id| !id.is_empty());
    find(payload, ["sid", "pid", "offset"]).map(id)
}

/// Message and data of a CONNECT_ERROR packet, whose payload is empty or valid JSON.
///
/// Revision 5 has an object of both. Revision 4 sends either, so that only a string is the message; but servers of today
/// say in the new form that a namespace does not exist, which is why an object's message is read as well.
pub(crate) fn read_refusal(
    payload: &str,
    revision: SocketRevision,
) -> (Cow<'_, str>, Option<&str>) {
    let payload = payload.trim_ascii();
    if let Some(message) = read_string(payload) {
        return (message, None);
    }
    let [message, data] = find(payload, ["message", "data"]);
    match revision {
        SocketRevision::V5 => {
            let message = message.map(|raw| read_string(raw).unwrap_or(Cow::Borrowed(raw)));
            (message.unwrap_or_default(), data)
        }
        SocketRevision::V4 => {
            let message = message.and_then(read_string).unwrap_or_default();
            (message, Some(payload).filter(|payload| !payload.is_empty()))
        }
    }
}

/// The raw values of `keys`, if the payload is an object that has them. Of repeated ones the last counts, as in
/// JavaScript.
fn find<'a, const N: usize>(payload: &'a str, keys: [&str; N]) -> [Option<&'a str>; N] {
    let mut values = [None; N];
    let Some(mut members) = Members::open(payload) else {
        return values;
    };
    while let Ok(Some(member)) = members.next() {
        if let Some(at) = keys.iter().position(|key| *key == member.key) {
            values[at] = Some(member.value);
        }
    }
    values
}

fn read_string(json: &str) -> Option<Cow<'_, str>> {
    if !json.starts_with('"') {
        return None;
    }
    read_name(json, 0).ok().map(|(string, _)| string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use SocketRevision::{V4, V5};

    #[test]
    fn ids_are_read_wherever_they_stand() {
        assert_eq!(read_accepted(""), [None, None, None]);
        assert_eq!(read_accepted("{}"), [None, None, None]);
        let all = [Some("S".into()), Some("P\"".into()), Some("O".into())];
        assert_eq!(
            read_accepted(r#" {"x":[{"sid":1}],"pid":"P\"","offset":"O","\u0073id":"S"} "#),
            all
        );
        assert_eq!(
            read_accepted(r#"{"sid":"A","sid":"B"}"#),
            [Some("B".into()), None, None]
        );
        for none in [r#"{"sid":null}"#, r#"{"sid":""}"#, r#"{"sid":5}"#] {
            assert_eq!(read_accepted(none), [None, None, None], "{none}");
        }
    }

    #[test]
    fn refusals_of_revision_5_have_a_message_and_data() {
        let cases = [
            ("", ("", None)),
            (r#""nope""#, ("nope", None)),
            (r#"{"message":"nope"}"#, ("nope", None)),
            (
                r#"{"data":{"code":[7]},"message":"no\u0021"}"#,
                ("no!", Some(r#"{"code":[7]}"#)),
            ),
            (r#"{"data":null}"#, ("", Some("null"))),
            (r#"{"message":404}"#, ("404", None)),
            (r#"{"message":"\ud800"}"#, ("\u{fffd}", None)),
        ];
        for (payload, (message, data)) in cases {
            assert_eq!(
                read_refusal(payload, V5),
                (message.into(), data),
                "{payload}"
            );
        }
    }

    #[test]
    fn refusals_of_revision_4_are_any_json() {
        let cases = [
            ("", ("", None)),
            (r#""nope""#, ("nope", None)),
            (r#" "nope" "#, ("nope", None)),
            ("[1]", ("", Some("[1]"))),
            ("null", ("", Some("null"))),
            (r#"{"code":7}"#, ("", Some(r#"{"code":7}"#))),
            (
                r#"{"message":"Invalid namespace"}"#,
                (
                    "Invalid namespace",
                    Some(r#"{"message":"Invalid namespace"}"#),
                ),
            ),
            (r#"{"message":1}"#, ("", Some(r#"{"message":1}"#))),
        ];
        for (payload, (message, data)) in cases {
            assert_eq!(
                read_refusal(payload, V4),
                (message.into(), data),
                "{payload}"
            );
        }
    }
}
