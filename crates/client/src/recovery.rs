//! What a socket needs to get back what it missed: connection state recovery.

use sockeye_socket_proto::RawArgs;

/// What the server gave a socket to come back with.
///
/// A server with recovery puts an offset behind the arguments of every event; the last one seen
/// says where to go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recovery {
    pid: Option<Box<str>>,
    /// The last event's last argument, still as JSON, if it is a string.
    offset: Option<Box<str>>,
}

impl Recovery {
    /// The private id of the session, and the offset of the last event, to show when joining.
    /// Without any event there is nothing that could be missed.
    pub(crate) fn resume(&self) -> Option<(String, String)> {
        let offset = serde_json::from_str(self.offset.as_deref()?).ok()?;
        Some((self.pid.as_deref()?.to_owned(), offset))
    }

    /// The server let the socket in; whether that is the old session.
    pub(crate) fn handle_connected(&mut self, pid: Option<&str>) -> bool {
        let recovered = pid.is_some() && self.pid.as_deref() == pid;
        if !recovered {
            *self = Self {
                pid: pid.map(Box::from),
                offset: None,
            };
        }
        recovered
    }

    /// An event came: during the session, or for the session that this side wants to have back.
    pub(crate) fn handle_event(&mut self, args: &RawArgs<'_>) {
        let last = args.len().checked_sub(1).and_then(|last| args.get(last));
        if let Some(json) = last.filter(|json| json.starts_with('"')) {
            self.offset = Some(json.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(json: &str) -> RawArgs<'_> {
        RawArgs::from_array(json).unwrap()
    }

    #[test]
    fn last_text_argument_is_the_offset() {
        let mut recovery = Recovery::default();
        assert!(!recovery.handle_connected(Some("p")));
        recovery.handle_event(&args(r#"[1,"a\n1"]"#));
        recovery.handle_event(&args("[2]"));
        recovery.handle_event(&args("[]"));
        assert_eq!(recovery.resume(), Some(("p".to_owned(), "a\n1".to_owned())));
    }

    #[test]
    fn same_private_id_means_recovered() {
        let mut recovery = Recovery::default();
        recovery.handle_connected(Some("p"));
        recovery.handle_event(&args(r#"["o"]"#));
        assert!(recovery.handle_connected(Some("p")));
        assert_eq!(recovery.resume(), Some(("p".to_owned(), "o".to_owned())));
        assert!(!recovery.handle_connected(Some("q")));
        assert_eq!(recovery.resume(), None);
        assert!(!recovery.handle_connected(None));
        assert_eq!(recovery.resume(), None);
    }
}
