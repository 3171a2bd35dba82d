//! What the errors of others, and texts, are to the peer.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use sockeye_socket_proto::{ArgsError, EncodeError};

use super::{IntoRefusal, Refusal, refusal_among};
use crate::error::{AckError, EmitError, ExtractError};

macro_rules! texts {
    ($($text:ty),*) => {$(
        /// The text is what the peer sees.
        impl IntoRefusal for $text {
            fn refusal(&self) -> Refusal {
                Refusal::new(&**self)
            }

            fn into_refusal(self) -> Refusal {
                Refusal::new(self)
            }
        }

        impl From<$text> for Refusal {
            fn from(text: $text) -> Self {
                Self::new(text)
            }
        }
    )*};
}

texts!(&str, String, Cow<'_, str>);

/// What is wrong with the arguments is no secret from the one who sent them.
impl IntoRefusal for ArgsError {
    fn refusal(&self) -> Refusal {
        Refusal::new(self.to_string())
    }
}

impl IntoRefusal for ExtractError {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Args(error) => error.refusal(),
            _ => Refusal::internal(),
        }
    }
}

impl IntoRefusal for Box<dyn Error + Send + Sync> {
    fn refusal(&self) -> Refusal {
        refusal_among(&**self)
    }
}

impl IntoRefusal for Infallible {}

macro_rules! from {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                error.into_refusal()
            }
        }
    )*};
}

macro_rules! hidden {
    ($($error:ty),* $(,)?) => {
        $(impl IntoRefusal for $error {})*
        from!($($error),*);
    };
}

hidden!(
    EmitError,
    AckError,
    EncodeError,
    fmt::Error,
    serde_json::Error,
    std::array::TryFromSliceError,
    std::char::CharTryFromError,
    std::char::ParseCharError,
    std::env::VarError,
    std::io::Error,
    std::net::AddrParseError,
    std::num::ParseFloatError,
    std::num::ParseIntError,
    std::num::TryFromIntError,
    std::str::ParseBoolError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::sync::mpsc::RecvError,
    std::time::SystemTimeError,
    tokio::sync::AcquireError,
    tokio::sync::broadcast::error::RecvError,
    tokio::sync::oneshot::error::RecvError,
    tokio::task::JoinError,
    tokio::time::error::Elapsed,
);
from!(ArgsError, ExtractError, Box<dyn Error + Send + Sync>);

/// Errors that give back what could not be sent.
macro_rules! unsent {
    ($($($error:ident)::+),* $(,)?) => {$(
        impl<T: fmt::Debug + Send + Sync + 'static> IntoRefusal for $($error)::+<T> {}

        impl<T: fmt::Debug + Send + Sync + 'static> From<$($error)::+<T>> for Refusal {
            fn from(error: $($error)::+<T>) -> Self {
                error.into_refusal()
            }
        }
    )*};
}

unsent!(
    std::sync::mpsc::SendError,
    tokio::sync::broadcast::error::SendError,
    tokio::sync::mpsc::error::SendError,
    tokio::sync::mpsc::error::TrySendError,
);
