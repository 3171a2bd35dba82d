//! What handlers can take, besides the event itself.

use std::any::type_name;

use sockeye_events::{Event, ExtractError, FromEvent};

use crate::{Handshake, Socket};

/// What the layers around the server have put into the extensions of the request that opened the connection, found by
/// its type and cloned for the handler: the user of a session or of a token, for one.
///
/// If there is none, the event fails with [`ExtractError::MissingExtension`]; `Result<Extension<T>, ExtractError>` and
/// [`Handshake::extension`](sockeye_listen::Handshake::extension) are for those that may be missing. What the library's
/// own listeners take has none, and no layer has seen bare streams.
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

impl FromEvent<Socket> for Handshake {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        Ok(event.socket().handshake().clone())
    }
}
