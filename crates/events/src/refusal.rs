use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sockeye_socket_proto::Args;

mod given;

/// A "no" with a message for the peer and, if wanted, data.
///
/// A middleware returns it to refuse a connection (the client's `connect_error` carries both
/// parts); a handler returns it to fail an event, and whoever waits for the answer gets it as
/// [`AckError::Refused`](crate::AckError::Refused).
///
/// Message and data are sent to the peer. The [cause](Self::cause) is not: it goes to the error hook
/// of this side. An error that [`IntoRefusal`] knows becomes a refusal by `?`, so that a handler may
/// return `Result<_, Refusal>` and say in one place what it wants to be seen.
///
/// ```
/// # use sockeye_events::Refusal;
/// fn buy(left: &str) -> Result<u32, Refusal> {
///     // What is wrong with the number stays here: the peer is told `internal error`.
///     match left.parse::<u32>()? {
///         0 => Err(Refusal::new("sold out").with_data(serde_json::json!({ "again": "monday" }))),
///         left => Ok(left - 1),
///     }
/// }
/// ```
///
/// # Wire format
///
/// A refused acknowledgement has one argument, an object with the one member `error`, which is an
/// object with the text `message` and perhaps `data`, and nothing else:
/// `{"error":{"message":"sold out","data":{"again":"monday"}}}`. Whoever answers with just that has
/// refused, whatever type the answer is received as, and no other answer is a refusal.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip)]
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal with this message and no data.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into().into(),
            ..Self::internal()
        }
    }

    /// A refusal that tells the peer no more than `internal error`. What really happened is added
    /// with [`caused_by`](Self::caused_by).
    #[must_use]
    pub const fn internal() -> Self {
        Self {
            message: Cow::Borrowed("internal error"),
            data: None,
            cause: None,
        }
    }

    /// Adds data, which the peer finds in the error's `data` field.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// Adds the error behind it, which goes to the error hook and never to the peer.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
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

    /// The error behind it, if this side knows one: what a handler or middleware really returned.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// What the peer has refused with, if its answer is a refusal.
    pub(crate) fn from_answer(answer: &Args) -> Option<Self> {
        // Most answers are none, which has to be seen at a glance. Derived readers take lists for
        // structs, too, so that braces are looked for as well.
        if !begins_with(answer.as_json(), &["{", "\"error\"", ":", "{"]) || answer.len() != 1 {
            return None;
        }
        let (message, data) = match answer.deserialize::<Answer<Value>>() {
            Ok(Answer { error }) => (error.message, error.data),
            // Data that cannot be had makes no success of it.
            Err(_) => {
                let Answer { error } = answer.deserialize::<Answer<IgnoredAny>>().ok()?;
                (error.message, None)
            }
        };
        Some(Self {
            message: message.into(),
            data,
            cause: None,
        })
    }
}

/// A refused acknowledgement, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer<D> {
    error: Body<D>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<D> {
    message: String,
    data: Option<D>,
}

/// Whether JSON begins with these tokens.
fn begins_with(mut json: &str, tokens: &[&str]) -> bool {
    tokens.iter().all(|token| {
        let rest = json.trim_start().strip_prefix(token);
        json = rest.unwrap_or_default();
        rest.is_some()
    })
}

/// The text for the peer.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Refusals are the same if they are so for the peer.
impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        (&self.message, &self.data) == (&other.message, &other.data)
    }
}

/// An error that a handler or middleware can return: it knows what the peer may see of it.
///
/// That is nothing unless said otherwise: `impl IntoRefusal for MyError {}` makes an error that a
/// peer knows as `internal error`. The error hook gets the error itself in any case, and finds it with
/// [`EventError::downcast_ref`](crate::EventError::downcast_ref).
///
/// ```
/// use sockeye_events::{IntoRefusal, Refusal};
///
/// #[derive(Debug, thiserror::Error)]
/// enum ShopError {
///     #[error("only {0} left")]
///     SoldOut(u32),
///     #[error("the database is unwell")]
///     Database(#[from] std::io::Error),
/// }
///
/// impl IntoRefusal for ShopError {
///     fn refusal(&self) -> Refusal {
///         match self {
///             Self::SoldOut(left) => Refusal::new("sold out").with_data(*left),
///             Self::Database(_) => Refusal::internal(),
///         }
///     }
/// }
/// ```
///
/// What is implemented already:
///
/// | error | the peer sees |
/// |---|---|
/// | [`Refusal`] | its message and data |
/// | `&str`, `String`, `Cow<str>` | the text |
/// | the errors of this library and of the standard library | `internal error`, but for what is wrong with the arguments that it sent |
/// | `Box<dyn Error>`, `Box<dyn Error + Send + Sync>` | the [`Refusal`] that it is, or that is among its sources, or else `internal error` |
///
/// Errors of other libraries have no impl of this, and cannot be given one elsewhere: let the handler
/// return `Result<_, Box<dyn Error + Send + Sync>>`, into which `?` turns all of them, also those of
/// `anyhow` and its like. Where they are to be seen by the peer, `map_err` makes a [`Refusal`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what the peer may see of it",
    label = "not an error that handlers and middlewares can return",
    note = "for an error of your own: `impl IntoRefusal for {Self} {{}}`, and the peer is told `internal error`; see `IntoRefusal::refusal` for more",
    note = "for an error of another library: return `Result<_, Box<dyn Error + Send + Sync>>`, or make a `Refusal` of it with `map_err`"
)]
pub trait IntoRefusal: Into<Box<dyn Error + Send + Sync>> {
    /// What the peer may see. By default it is [`Refusal::internal`].
    fn refusal(&self) -> Refusal {
        Refusal::internal()
    }

    /// What the peer may see, with the error as its cause.
    fn into_refusal(self) -> Refusal {
        self.refusal().caused_by(self)
    }
}

/// What the `Err` of a handler or middleware may be: [`IntoRefusal`], or a boxed error that cannot be sent
/// to other threads, which is no [`Error`] that can be kept; of it the text is.
pub trait Failure {
    /// What the peer may see, with the error as its cause.
    fn fail(self) -> Refusal;
}

impl<E: IntoRefusal> Failure for E {
    fn fail(self) -> Refusal {
        self.into_refusal()
    }
}

impl Failure for Box<dyn Error> {
    fn fail(self) -> Refusal {
        refusal_among(&*self).caused_by(self.to_string())
    }
}

impl IntoRefusal for Refusal {
    fn refusal(&self) -> Refusal {
        self.clone()
    }

    fn into_refusal(self) -> Refusal {
        self
    }
}

/// What the peer may see of an error that can be anything: the refusal among its sources.
fn refusal_among(error: &(dyn Error + 'static)) -> Refusal {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return refusal.clone();
        }
        next = error.source();
    }
    Refusal::internal()
}
