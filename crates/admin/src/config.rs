use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bcrypt::HashParts;
use thiserror::Error;

use crate::sessions::{MemorySessions, SessionStore};

/// How a server is shown, and to whom.
#[derive(Clone, Debug)]
#[must_use = "it is for `instrument`"]
pub struct AdminConfig {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) namespace: String,
    pub(crate) mode: Mode,
    pub(crate) read_only: bool,
    pub(crate) server_id: Option<String>,
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) hidden: Vec<String>,
    pub(crate) max_event_bytes: usize,
}

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything: each socket, each room that is joined or left, each event with its arguments.
    #[default]
    Development,
    /// What was counted, every two seconds.
    Production,
}

impl AdminConfig {
    /// For whoever knows these credentials.
    pub fn new(credentials: Credentials) -> Self {
        Self::with(Some(credentials))
    }

    /// For everybody who can connect to the server: they see what it does, and have power over its sockets unless it is
    /// [read-only](Self::read_only). For servers that nobody else reaches.
    pub fn unprotected() -> Self {
        Self::with(None)
    }

    fn with(credentials: Option<Credentials>) -> Self {
        Self {
            credentials,
            namespace: "/admin".to_owned(),
            mode: Mode::default(),
            read_only: false,
            server_id: None,
            sessions: Arc::new(MemorySessions::default()),
            hidden: HIDDEN.map(str::to_owned).into(),
            max_event_bytes: 16 * 1024,
        }
    }

    /// The namespace that the page connects to. The slash in front may be left out. Default: `/admin`.
    #[doc(alias = "namespaceName")]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = name.into();
        if !self.namespace.starts_with('/') {
            self.namespace.insert(0, '/');
        }
        self
    }

    /// How much is told. Default: [`Mode::Development`].
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether the page may only look. Otherwise it may emit, put sockets into rooms and take them out, and disconnect
    /// them. Default: no.
    #[doc(alias = "readonly")]
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// What the page calls this server, which has to be another for each server of a cluster. Default: the name of the
    /// machine and the number of the process, as `web-1#4711`.
    pub fn server_id(mut self, id: impl Into<String>) -> Self {
        self.server_id = Some(id.into());
        self
    }

    /// Where the sessions of those are who have shown credentials. Default: a [`MemorySessions`].
    #[doc(alias = "store")]
    pub fn sessions(mut self, sessions: impl SessionStore + 'static) -> Self {
        self.sessions = Arc::new(sessions);
        self
    }

    /// Headers and parameters of the query whose values nobody is told, `***` stands there instead; in large or small
    /// letters. It replaces the list that is there by default: `authorization`, `proxy-authorization`, `cookie`,
    /// `x-api-key`, `api_key`, `apikey`, `access_token`, `token`, `secret`, `password`.
    pub fn hidden<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.hidden = names.into_iter().map(Into::into).collect();
        self
    }

    /// How many bytes the arguments of an event may have to be told; of a larger one the name and the size are told. It
    /// bounds what one event costs on its way to the page. Default: 16 KiB.
    pub const fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes;
        self
    }
}

/// Where secrets usually are.
const HIDDEN: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api_key",
    "apikey",
    "access_token",
    "token",
    "secret",
    "password",
];

/// A user's name, and the bcrypt hash of the password.
///
/// The hash is what `htpasswd -nBC 10 NAME` gives behind the name: `$2y$10$…`. The number in it is what it costs to check a
/// password; each step more takes twice as long, and 10 is about a twentieth of a second. Of passwords, 72 bytes count.
///
/// ```
/// # use sockeye_admin::Credentials;
/// let hash = "$2b$10$jPzzNernFh4JYZCyVk47Z.XMIHFQ7RRUquwQ6nRcrE9w0jw17ETvW";
/// let credentials = Credentials::new("ann", hash)?;
/// # assert!(Credentials::new("ann", "changeme").is_err());
/// # Ok::<(), sockeye_admin::HashError>(())
/// ```
#[derive(Clone)]
pub struct Credentials {
    pub(crate) username: String,
    pub(crate) hash: String,
}

impl Credentials {
    /// Credentials of this user.
    ///
    /// # Errors
    ///
    /// If the second is no bcrypt hash: the password itself, perhaps.
    pub fn new(username: impl Into<String>, hash: impl Into<String>) -> Result<Self, HashError> {
        let (username, hash) = (username.into(), hash.into());
        match HashParts::from_str(&hash) {
            Ok(parts) if (4..=31).contains(&parts.get_cost()) => Ok(Self { username, hash }),
            _ => Err(HashError(())),
        }
    }
}

/// Without the hash.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What should be a bcrypt hash is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the password has to be given as a bcrypt hash, which begins with $2a$, $2b$ or $2y$")]
pub struct HashError(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bcrypt_hash_is_refused_and_never_shown() {
        let hash = "$2b$10$jPzzNernFh4JYZCyVk47Z.XMIHFQ7RRUquwQ6nRcrE9w0jw17ETvW";
        for accepted in [
            hash,
            &hash.replace("$2b$", "$2y$"),
            &hash.replace("$2b$", "$2a$"),
        ] {
            let credentials = Credentials::new("ann", accepted).unwrap();
            assert!(!format!("{credentials:?}").contains("jPzz"));
        }
        for refused in [
            "",
            "changeme",
            "$2b$10$short",
            &hash.replace("$10$", "$99$"),
            &hash[..59],
        ] {
            let error = Credentials::new("ann", refused).unwrap_err();
            assert!(error.to_string().contains("bcrypt"), "{refused}");
        }
    }

    #[test]
    fn namespace_has_its_slash() {
        let name = |name: &str| AdminConfig::unprotected().namespace(name).namespace;
        assert_eq!(
            (name("ops"), name("/ops")),
            ("/ops".to_owned(), "/ops".to_owned())
        );
    }
}
