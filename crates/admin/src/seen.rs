//! Events that came or were sent, as pages are told of them.

use sockeye_server::{Args, Event, ExtractError, FromEvent, RawArgs, Socket};

use crate::date::Date;
use crate::shown::{Shown, anybody_watches};
use crate::view::shown_id;

/// An event of a socket, if anybody watches: else nothing of it is copied.
pub(crate) struct Seen(Option<Copied>);

struct Copied {
    name: String,
    args: Args,
    size: usize,
}

impl FromEvent<Socket> for Seen {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        Ok(Self(anybody_watches().then(|| Copied {
            name: event.name().to_owned(),
            size: event.size(),
            args: match event.size() <= MAX_COPIED {
                true => event.args().to_args(),
                false => Args::empty(),
            },
        })))
    }
}

/// Larger events are copied by nobody, whatever the [limit](crate::AdminConfig::max_event_bytes).
const MAX_COPIED: usize = 1 << 20;

impl Seen {
    /// Tells pages of it: `event_received` or `event_sent`.
    pub(crate) fn tell(self, shown: &Shown, what: &str, socket: &Socket) {
        let Some(seen) = self.0.filter(|_| shown.is_watched()) else {
            return;
        };
        let (namespace, id) = (socket.namespace().name(), shown_id(socket));
        let date = Date::now();
        if seen.size > shown.max_event_bytes.min(MAX_COPIED) {
            let size = format!("({} bytes)", seen.size);
            shown.mention(what, (namespace, id, [seen.name, size], date));
            return;
        }
        // Name and arguments are one list there, and attachments go with it.
        let name = serde_json::Value::from(seen.name);
        let list = match seen.args.is_empty() {
            true => format!("[{name}]"),
            false => format!("[{name},{}]", seen.args.as_json()),
        };
        let (namespace, id) = (serde_json::json!(namespace), serde_json::json!(id));
        let text = format!("[{namespace},{id},{list},\"{date}\"]");
        let args = seen.args.as_raw();
        let Ok(told) = RawArgs::from_array(&text) else {
            return;
        };
        let told = match args.has_buffers() {
            true => told.with_buffers(),
            false => told.with_attachments(args.attachments()),
        };
        shown.mention(what, told);
    }
}
