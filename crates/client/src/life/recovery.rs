//! What a socket needs to get back what it missed: connection state recovery.

use sockeye_socket_proto::{RawArgs, from_json};

/// What the server gave a socket to come back with.
///
/// A server with recovery puts an offset behind the arguments of every event; the last one seen
/// says where to go on. It counts once the event has reached the handlers: one that is lost with a
/// connection before that is to come again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recovery {
    pid: Option<Box<str>>,
    offset: Option<Offset>,
}

/// How far a socket has come.
#[derive(Clone, Debug)]
enum Offset {
    /// What the server has told a new socket, which counts until an event has come. Node's servers tell none.
    Beginning(Box<str>),
    /// The last event's last argument, still as JSON, if it is a string.
    Event(Box<str>),
}

impl Recovery {
    /// The private id of the session, and the offset of the last event, to show when joining.
    pub(crate) fn resume(&self) -> Option<(String, String)> {
        let offset = match self.offset.as_ref()? {
            Offset::Beginning(text) => text.to_string(),
            Offset::Event(json) => from_json(json).ok()?,
        };
        Some((self.pid.as_deref()?.to_owned(), offset))
    }

    /// The server let the socket in; whether that is the old session.
    pub(crate) fn handle_connected(&mut self, pid: Option<&str>, offset: Option<&str>) -> bool {
        let recovered = pid.is_some() && self.pid.as_deref() == pid;
        if !recovered {
            *self = Self {
                pid: pid.map(Box::from),
                offset: offset.map(|offset| Offset::Beginning(offset.into())),
            };
        }
        recovered
    }

    /// An event with this [offset](offset_of) has reached the handlers.
    pub(crate) fn handle_event(&mut self, offset: Box<str>) {
        if self.pid.is_some() {
            self.offset = Some(Offset::Event(offset));
        }
    }
}

/// What may be the offset of an event, still as JSON: its last argument, if that is a string.
///
/// Servers put none behind an event that they want to be answered: for the JavaScript client, the
/// last argument of such a one is the function that answers.
pub(crate) fn offset_of(args: &RawArgs<'_>, ack_id: Option<u64>) -> Option<Box<str>> {
    if ack_id.is_some() {
        return None;
    }
    let last = args.get(args.len().checked_sub(1)?)?;
    last.starts_with('"').then(|| last.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(json: &str, ack_id: Option<u64>) -> Option<Box<str>> {
        offset_of(&RawArgs::from_array(json).unwrap(), ack_id)
    }

    #[test]
    fn last_text_argument_is_the_offset() {
        assert_eq!(offset("[2]", None), None);
        assert_eq!(offset("[]", None), None);
        assert_eq!(offset(r#"["wants an answer"]"#, Some(7)), None);
        let mut recovery = Recovery::default();
        assert!(!recovery.handle_connected(Some("p"), None));
        recovery.handle_event(offset(r#"[1,"a\n1"]"#, None).unwrap());
        assert_eq!(recovery.resume(), Some(("p".to_owned(), "a\n1".to_owned())));
    }

    #[test]
    fn same_private_id_means_recovered() {
        let mut recovery = Recovery::default();
        recovery.handle_connected(Some("p"), None);
        recovery.handle_event(r#""o""#.into());
        assert!(recovery.handle_connected(Some("p"), None));
        assert_eq!(recovery.resume(), Some(("p".to_owned(), "o".to_owned())));
        assert!(!recovery.handle_connected(Some("q"), None));
        assert_eq!(recovery.resume(), None);
        assert!(!recovery.handle_connected(None, None));
        recovery.handle_event(r#""o""#.into());
        assert_eq!(recovery.resume(), None);
    }

    #[test]
    fn beginning_counts_until_an_event_has_come() {
        let mut recovery = Recovery::default();
        recovery.handle_connected(Some("p"), Some("b\"0"));
        assert_eq!(recovery.resume(), Some(("p".to_owned(), "b\"0".to_owned())));
        recovery.handle_event(r#""o""#.into());
        recovery.handle_connected(Some("p"), Some("later"));
        assert_eq!(recovery.resume(), Some(("p".to_owned(), "o".to_owned())));
    }
}
