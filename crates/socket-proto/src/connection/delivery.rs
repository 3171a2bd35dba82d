use std::borrow::Cow;

use super::NamespaceKey;
use crate::args::IncomingArgs;

/// What one end makes of events and acknowledgements, which mean the same to both.
pub(crate) trait Delivery<'a> {
    fn event(
        key: NamespaceKey,
        name: Cow<'a, str>,
        args: IncomingArgs<'a>,
        ack_id: Option<u64>,
    ) -> Self;

    fn ack(key: NamespaceKey, id: u64, args: IncomingArgs<'a>) -> Self;
}
