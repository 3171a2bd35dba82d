//! What a server is shown by whoever connects.

use std::fmt;
use std::fs;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};

use crate::protocol::Hello;

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Account {
    #[default]
    None,
    User {
        name: String,
        password: String,
    },
    Token(String),
    Key {
        /// What the key is made of.
        seed: String,
        /// What an operator's server knows the user by.
        jwt: Option<String>,
    },
}

impl Account {
    /// A user's key.
    pub(crate) fn from_seed(seed: &str) -> Result<Self, String> {
        let pair = KeyPair::from_seed(seed).map_err(|_| "it is no seed of a key".to_owned())?;
        if pair.key_pair_type() != KeyPairType::User {
            return Err("it is the key of somebody else than a user".to_owned());
        }
        let (seed, jwt) = (seed.to_owned(), None);
        Ok(Self::Key { seed, jwt })
    }

    /// What the file says that `nsc` makes for a user.
    pub(crate) fn from_credentials(text: &str) -> Result<Self, String> {
        let part = |name| part(text, name).ok_or_else(|| format!("there is no {name} in it"));
        let Self::Key { seed, .. } = Self::from_seed(part("USER NKEY SEED")?)? else {
            return Err("it is no seed of a key".to_owned());
        };
        let jwt = Some(part("NATS USER JWT")?.to_owned());
        Ok(Self::Key { seed, jwt })
    }

    pub(crate) fn from_file(file: &str) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| error.to_string());
        let account = text.and_then(|text| Self::from_credentials(&text));
        account.map_err(|error| format!("the credentials of {file:?}: {error}"))
    }

    /// Says it to a server that wants this signed.
    pub(crate) fn show(&self, nonce: &str, hello: &mut Hello) {
        match self.clone() {
            Self::None => {}
            Self::User { name, password } => {
                hello.user = Some(name);
                hello.pass = Some(password);
            }
            Self::Token(token) => hello.auth_token = Some(token),
            Self::Key { seed, jwt } => {
                let Ok(pair) = KeyPair::from_seed(&seed) else {
                    return;
                };
                hello.nkey = jwt.is_none().then(|| pair.public_key());
                hello.jwt = jwt;
                let signature = pair.sign(nonce.as_bytes()).ok();
                hello.sig = signature.map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
            }
        }
    }
}

/// What stands between `-----BEGIN name-----` and the next line of dashes.
fn part<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {name}-----"))?;
    let (part, _) = rest.split_once("-----")?;
    Some(part.trim()).filter(|part| !part.is_empty())
}

/// Without what is secret.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\r\nhead.claims.sig\r\n------END NATS USER JWT------\r\n\r\n\
             ***** IMPORTANT *****\r\n\r\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn credentials_have_a_seed_and_a_claim() {
        let seed = KeyPair::new_user().seed().unwrap();
        let account = Account::from_credentials(&file(&seed)).unwrap();
        let jwt = Some("head.claims.sig".to_owned());
        assert_eq!(account, Account::Key { seed, jwt });
        assert_eq!(format!("{account:?}"), "Account");
    }

    #[test]
    fn what_is_wrong_with_credentials_is_said() {
        let error = |text: &str| Account::from_credentials(text).unwrap_err();
        assert_eq!(error(""), "there is no USER NKEY SEED in it");
        assert_eq!(error(&file("")), "there is no USER NKEY SEED in it");
        assert_eq!(error(&file("SUA")), "it is no seed of a key");
        let of_account = KeyPair::new_account().seed().unwrap();
        let of_somebody_else = "it is the key of somebody else than a user";
        assert_eq!(error(&file(&of_account)), of_somebody_else);
        let seed = KeyPair::new_user().seed().unwrap();
        let alone = file(&seed).split_off(80);
        assert_eq!(error(&alone), "there is no NATS USER JWT in it");
        let error = Account::from_file("/nowhere").unwrap_err();
        assert!(
            error.starts_with(r#"the credentials of "/nowhere": "#),
            "{error}"
        );
    }
}
