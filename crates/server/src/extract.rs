//! What handlers can take, besides the event itself.

use std::any::type_name;

use serde::de::DeserializeOwned;
use sockeye_events::{Event, ExtractError, FromEvent};

use crate::captures;
use crate::{Handshake, Socket};

/// What the layers around the server have put into the extensions of the request that opened the connection, found by
/// its type and cloned for the handler: the user of a session or of a token, for one.
///
/// If there is none, the event fails with [`ExtractError::MissingExtension`]; `Result<Extension<T>, ExtractError>` and
/// [`Handshake::extension`](sockeye_listen::Handshake::extension) are for those that may be missing. The library's
/// own listeners have the layers of [`EngineConfig::layer`](crate::EngineConfig::layer), and no layer has seen bare streams.
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::{Extension, ExtractError, Refusal, Server};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// let io = Server::new();
/// // Nobody gets in without.
/// io.middleware(|user: Result<Extension<User>, ExtractError>| {
///     user.map(drop).map_err(|_| Refusal::new("log in first"))
/// });
/// io.on("whoami", |Extension(User(name)): Extension<User>| name);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromEvent<Socket> for Extension<T> {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        let value = event.socket().handshake().extension().cloned();
        value
            .map(Self)
            .ok_or_else(|| ExtractError::MissingExtension(type_name::<T>()))
    }
}

/// What the name of a dynamic namespace has captured, for handlers and middlewares of its sockets.
///
/// `T` is a single value, a tuple or list of all captures in their order, or a struct or map by their names. Texts, numbers,
/// booleans, enums without content, and `Option`s of these can be captured; a capture of a regular expression that took no
/// part in the match is `None`. Those without a name go by their number: `"1"`.
///
/// If the name does not have what `T` is made of, or the namespace is not one by
/// [pattern](crate::Server::of_pattern) or regular expression, the event fails, and a middleware refuses. Values are as they
/// are in the name; nothing is decoded.
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::{Captures, Server, Socket};
///
/// #[derive(serde::Deserialize)]
/// struct Channel {
///     team: u32,
///     channel: String,
/// }
///
/// let io = Server::new();
/// io.of_pattern("/chat/{room}")?
///     .on_connect(|socket: Socket, Captures(room): Captures<String>| {
///         socket.emit("welcome", format!("to {room}"))
///     });
/// io.of_pattern("/teams/{team}/{channel}")?
///     .on("where am i", |Captures(at): Captures<Channel>| (at.team, at.channel));
/// # Ok::<(), sockeye::PatternError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<T>(pub T);

impl<T: DeserializeOwned> FromEvent<Socket> for Captures<T> {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        let Some(captured) = event.socket().namespace().captured() else {
            return Err(ExtractError::NotAvailable(
                "what a namespace's name captures",
            ));
        };
        captures::read(captured)
            .map(Self)
            .map_err(|error| ExtractError::Captures(error.to_string().into()))
    }
}

impl FromEvent<Socket> for Handshake {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        Ok(event.socket().handshake().clone())
    }
}
