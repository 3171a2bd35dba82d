//! Who may come in.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use sockeye_server::{Handshake, Refusal, Socket};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::attempts::Attempts;
use crate::config::Credentials;
use crate::sessions::SessionStore;

/// Asks for credentials, or for a session of somebody who has shown them.
///
/// A password costs much to check, and anybody can offer one. So few are checked at once, on threads that may block, and few
/// wait for that, fewer still of one address; those who find no place are refused, and may try again. Who guesses has to wait
/// in between.
pub(crate) struct Access {
    credentials: Credentials,
    sessions: Arc<dyn SessionStore>,
    /// For those that are checked, and that wait.
    places: Arc<Semaphore>,
    checks: Arc<Semaphore>,
    attempts: Arc<Attempts>,
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
            attempts: Arc::default(),
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
        let address = handshake.remote_addr().map(|address| address.ip());
        if !self.check(address, &username, password).await? {
            return Err(refused());
        }
        let session = new_session().map_err(|error| Refusal::internal().caused_by(error))?;
        self.sessions.save(&session).await;
        socket.set_data(NewSession(session));
        Ok(())
    }

    /// How long it takes does not tell whether the name is right.
    async fn check(
        &self,
        address: Option<IpAddr>,
        username: &str,
        password: String,
    ) -> Result<bool, Refusal> {
        let busy = || Refusal::new("too many attempts");
        let attempt = self.attempts.begin(address, Instant::now());
        let attempt = attempt.ok_or_else(busy)?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| busy())?;
        let check = Arc::clone(&self.checks).acquire_owned().await;
        let check = check.map_err(|_| Refusal::internal())?;
        let hash = self.credentials.hash.clone();
        let is_known = username == self.credentials.username;
        let checked = tokio::task::spawn_blocking(move || {
            // Given back when it is done, and not when the one who asks is gone.
            let _held = (place, check);
            let is_right = bcrypt::verify(password, &hash).unwrap_or(false) & is_known;
            attempt.finish(is_right, Instant::now());
            is_right
        });
        checked.await.map_err(|_| Refusal::internal())
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
    use std::time::Duration;

    use futures_util::future::join_all;

    use super::*;
    use crate::sessions::MemorySessions;

    /// Of `correct horse`.
    const HASH: &str = "$2b$04$RtUxz7y8RotfvMAp04Ohx.2N7sW1eEpXV8AYZtrh/W6orpG0zxqtK";

    fn access() -> Access {
        let credentials = Credentials::new("ann", HASH).unwrap();
        let sessions = MemorySessions::new(10, Duration::from_secs(60));
        Access::new(credentials, Arc::new(sessions))
    }

    #[tokio::test(start_paused = true)]
    async fn who_repeats_a_wrong_password_keeps_nobody_of_another_address_out() {
        let access = access();
        let check = async |address: [u8; 4], password: &str| {
            let address = Some(IpAddr::from(address));
            let checked = access.check(address, "ann", password.to_owned()).await;
            checked.map_err(|refusal| refusal.message().to_owned())
        };
        // None is checked before all are there.
        let all = u32::try_from(CHECKS).unwrap();
        let held = access.checks.acquire_many(all).await.unwrap();
        let guesses = (0..100).map(|_| check([192, 0, 2, 1], "wrong"));
        let (guessed, right, ()) = tokio::join!(
            join_all(guesses),
            check([192, 0, 2, 2], "correct horse"),
            async { drop(held) }
        );
        assert_eq!(right, Ok(true));
        let checked = guessed.iter().filter(|answer| **answer == Ok(false));
        assert_eq!(checked.count(), 2);
        let busy = Err("too many attempts".to_owned());
        assert!(guessed.iter().skip(2).all(|answer| *answer == busy));
        // Two more, and then it has to wait.
        assert_eq!(check([192, 0, 2, 1], "wrong").await, Ok(false));
        assert_eq!(check([192, 0, 2, 1], "wrong").await, Ok(false));
        assert_eq!(check([192, 0, 2, 1], "correct horse").await, busy);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(check([192, 0, 2, 1], "correct horse").await, Ok(true));
    }

    #[test]
    fn sessions_are_distinct_and_long() {
        let (one, other) = (new_session().unwrap(), new_session().unwrap());
        assert_eq!((one.len(), other.len()), (32, 32));
        assert_ne!(one, other);
    }
}
