//! Errors as what handlers take.

use std::sync::Arc;

use serde_json::Value;

use crate::{Event, EventError, EventErrorKind, ExtractError, FromEvent, Refusal};

/// What went wrong, in a handler of the event `error`.
///
/// Where peers may emit an event of that name, in browsers for one, it is told as what the
/// [peer](EventErrorKind::Peer) says: the message and the data of the first argument, or all of it.
impl<S> FromEvent<S> for Arc<EventError> {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        let local = event.detail().and_then(|detail| detail.downcast_ref());
        if let Some(error) = local {
            return Ok(Self::clone(error));
        }
        if event.name() != "error" {
            return Err(ExtractError::NotAvailable("an error"));
        }
        let said = event.args().deserialize::<Option<Value>>()?;
        let kind = EventErrorKind::Peer(refusal(said.unwrap_or_default()));
        Ok(Self::new(EventError::new("error", kind)))
    }
}

/// What a peer means by it.
fn refusal(said: Value) -> Refusal {
    match said {
        Value::String(message) => Refusal::new(message),
        Value::Object(mut fields) if fields.get("message").is_some_and(Value::is_string) => {
            let message = fields["message"].as_str().unwrap_or_default().to_owned();
            match fields.remove("data") {
                Some(data) => Refusal::new(message).with_data(data),
                None => Refusal::new(message),
            }
        }
        other => Refusal::new("").with_data(other),
    }
}
