use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

/// A "no" with a message for the peer and, if wanted, data.
///
/// A middleware returns it to refuse a connection (the client's `connect_error` carries both
/// parts); a handler returns it to fail an event (the acknowledgement carries
/// `{"error": {"message", "data"}}`).
///
/// Anything with a `Display` form is a refusal too, so `Err("not today")` works; this type
/// exists for the data. It has no `Display` of its own, which is what keeps the two apart.
/// Either way the text is sent to the peer.
///
/// ```
/// # use sockeye_events::Refusal;
/// fn buy(left: u32) -> Result<u32, Refusal> {
///     match left {
///         0 => Err(Refusal::new("sold out").with_data(serde_json::json!({ "again": "monday" }))),
///         left => Ok(left - 1),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl Refusal {
    /// A refusal with this message and no data.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// Adds data, which the peer finds in the error's `data` field.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The data, if any was given.
    #[must_use]
    pub const fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }
}

/// What can refuse: a [`Refusal`], or anything that implements `Display`.
pub trait IntoRefusal {
    /// Turns the value into a refusal.
    fn into_refusal(self) -> Refusal;
}

impl IntoRefusal for Refusal {
    fn into_refusal(self) -> Refusal {
        self
    }
}

impl<E: Display> IntoRefusal for E {
    fn into_refusal(self) -> Refusal {
        Refusal::new(self.to_string())
    }
}
