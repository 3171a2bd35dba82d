//! Who may come in.

use std::sync::Arc;

use serde_json::Value;
use sockeye_server::{Handshake, Refusal, Socket};
use tokio::sync::Semaphore;

use crate::config::Credentials;
use crate::sessions::SessionStore;

/// Asks for credentials, or for a session of somebody who has shown them.
///
/// A password costs much to check, and anybody can offer one. So few are checked at once, on threads that may block, and few
/// wait for that; those who find no place are refused, and may try again.
pub(crate) struct Access {
    credentials: Credentials,
    sessions: Arc<dyn SessionStore>,
    /// For those that are checked, and that wait.
    places: Arc<Semaphore>,
    checks: Arc<Semaphore>,
}

/// A session that was begun for this socket, and has to be told to it.
#[derive(Clone)]
pub(crate) struct NewSession(pub(crate) String);

/// Passwords that are checked at once.
const CHECKS: usize = 2;

/// Those, and the ones that wait.
const PLACES: usize = 32;

/// Of what a client says. Longer is nobody's name, password or session.
const MAX_TEXT: usize = 1024;

/// Of what stores are asked for.
const MAX_SESSION: usize = 128;

impl Access {
    pub(crate) fn new(credentials: Credentials, sessions: Arc<dyn SessionStore>) -> Self {
        Self {
            credentials,
            sessions,
            places: Arc::new(Semaphore::new(PLACES)),
            checks: Arc::new(Semaphore::new(CHECKS)),
        }
    }

    /// Lets a socket in, or does not.
    pub(crate) async fn ask(self: Arc<Self>, socket: Socket) -> Result<(), Refusal> {
        let handshake = socket.handshake().clone();
        if let Some(session) = said(&handshake, "sessionId", MAX_SESSION)
            && self.sessions.is_known(&session).await
        {
            return Ok(());
        }
        let username = said(&handshake, "username", MAX_TEXT);
        let password = said(&handshake, "password", MAX_TEXT);
        let (Some(username), Some(password)) = (username, password) else {
            return Err(refused());
        };
        if !self.check(&username, password).await? {
            return Err(refused());
        }
        let session = new_session().map_err(|error| Refusal::internal().caused_by(error))?;
        self.sessions.save(&session).await;
        socket.set_data(NewSession(session));
        Ok(())
    }

    /// How long it takes does not tell whether the name is right.
    async fn check(&self, username: &str, password: String) -> Result<bool, Refusal> {
        let busy = || Refusal::new("too many attempts");
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| busy())?;
        let check = Arc::clone(&self.checks).acquire_owned().await;
        let check = check.map_err(|_| Refusal::internal())?;
        let hash = self.credentials.hash.clone();
        let checked = tokio::task::spawn_blocking(move || {
            // Given back when it is done, and not when the one who asks is gone.
            let _held = (place, check);
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        let is_right = checked.await.map_err(|_| Refusal::internal())?;
        Ok(is_right & (username == self.credentials.username))
    }
}

/// A text in the client's auth data.
fn said(handshake: &Handshake, name: &str, max: usize) -> Option<String> {
    let mut auth: Value = handshake.auth().ok()?;
    match auth.get_mut(name)?.take() {
        Value::String(text) if !text.is_empty() && text.len() <= max => Some(text),
        _ => None,
    }
}

/// What the page knows how to show.
fn refused() -> Refusal {
    Refusal::new("invalid credentials")
}

fn new_session() -> Result<String, getrandom::Error> {
    use std::fmt::Write;

    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_distinct_and_long() {
        let (one, other) = (new_session().unwrap(), new_session().unwrap());
        assert_eq!((one.len(), other.len()), (32, 32));
        assert_ne!(one, other);
    }
}
