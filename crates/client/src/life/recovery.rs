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
    /// It was shown, and the server has not answered yet.
    is_shown: bool,
    /// How many sessions in a row have ended before it did.
    unanswered: u8,
}

/// How far a socket has come.
#[derive(Clone, Debug)]
enum Offset {
    /// What the server has told a new socket, which counts until an event has come. Node's servers tell none.
    Beginning(Box<str>),
    /// The last event's last argument, still as JSON, if it is a short string.
    Event(Box<str>),
}

impl Recovery {
    /// The private id of the session, and the offset of the last event, to show when joining.
    pub(crate) fn resume(&mut self) -> Option<(String, String)> {
        let offset = match self.offset.as_ref()? {
            Offset::Beginning(text) => text.to_string(),
            Offset::Event(json) => from_json(json).ok()?,
        };
        let pid = self.pid.as_deref()?.to_owned();
        self.is_shown = true;
        Some((pid, offset))
    }

    /// The server let the socket in; whether that is the old session.
    pub(crate) fn handle_connected(&mut self, pid: Option<&str>, offset: Option<&str>) -> bool {
        self.handle_answer();
        let pid = pid.filter(|pid| pid.len() <= MAX_LEN);
        let offset = offset.filter(|offset| offset.len() <= MAX_LEN);
        let recovered = pid.is_some() && self.pid.as_deref() == pid;
        if !recovered {
            *self = Self {
                pid: pid.map(Box::from),
                offset: offset.map(|offset| Offset::Beginning(offset.into())),
                ..Self::default()
            };
        }
        recovered
    }

    /// The server has answered what it was shown.
    pub(crate) const fn handle_answer(&mut self) {
        self.is_shown = false;
        self.unanswered = 0;
    }

    /// Nobody waits for the answer any more.
    pub(crate) const fn handle_abandoned(&mut self) {
        self.is_shown = false;
    }

    /// The session is over. If that came instead of an answer, and not for the first time, there is nothing to come back
    /// with any more.
    pub(crate) fn handle_end(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            self.unanswered += 1;
            if self.unanswered >= MAX_UNANSWERED {
                *self = Self::default();
            }
        }
    }

    /// Whether there is a session to come back to, so that offsets of events matter.
    pub(crate) const fn follows_events(&self) -> bool {
        self.pid.is_some()
    }

    /// An event with this [offset](offset_of) has reached the handlers.
    pub(crate) fn handle_event(&mut self, offset: Box<str>) {
        if self.follows_events() {
            self.offset = Some(Offset::Event(offset));
        }
    }
}

/// What may be the offset of an event, still as JSON: its last argument, if that is a short string.
///
/// Servers put none behind an event that they want to be answered: for the JavaScript client, the
/// last argument of such a one is the function that answers.
pub(crate) fn offset_of(args: &RawArgs<'_>, ack_id: Option<u64>) -> Option<Box<str>> {
    if ack_id.is_some() {
        return None;
    }
    let last = args.get(args.len().checked_sub(1)?)?;
    let may_be = last.starts_with('"') && last.len() <= MAX_LEN;
    may_be.then(|| last.into())
}

/// After how many sessions that have ended instead of an answer nothing is shown any more.
///
/// One may have been lost by chance. But a server that closes the connection for what it is shown would do so each time,
/// and the socket would never be let in.
const MAX_UNANSWERED: u8 = 2;

/// How long an offset may be, in bytes of its JSON, and a private id. Those of all servers are below 50; longer texts at
/// the end of an event are the application's, and might not even fit into a packet that the server takes.
const MAX_LEN: usize = 256;

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
    fn long_text_is_no_offset() {
        let longest = format!(r#"["{}"]"#, "a".repeat(MAX_LEN - 2));
        assert!(offset(&longest, None).is_some());
        let longer = format!(r#"["{}"]"#, "a".repeat(MAX_LEN - 1));
        assert_eq!(offset(&longer, None), None);
        let long = "a".repeat(MAX_LEN + 1);
        let mut recovery = Recovery::default();
        recovery.handle_connected(Some(&long), Some("o"));
        assert!(!recovery.follows_events());
        assert_eq!(recovery.resume(), None);
        recovery.handle_connected(Some("p"), Some(&long));
        assert_eq!(recovery.resume(), None);
    }

    #[test]
    fn what_is_not_answered_twice_in_a_row_is_not_shown_again() {
        let mut recovery = Recovery::default();
        recovery.handle_connected(Some("p"), Some("o"));
        for _ in 0..3 {
            // Neither an end before it was shown nor one after the answer counts.
            recovery.handle_end();
            assert!(recovery.resume().is_some());
            recovery.handle_end();
            assert!(recovery.resume().is_some());
            recovery.handle_connected(Some("p"), None);
            recovery.handle_end();
        }
        for _ in 0..2 {
            assert!(recovery.resume().is_some());
            recovery.handle_end();
        }
        assert_eq!(recovery.resume(), None);
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
