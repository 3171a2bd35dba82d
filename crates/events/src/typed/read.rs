//! Reading typed events, with errors that say which field they are about.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error};
use sockeye_socket_proto::{ArgsError, RawArgs};

use crate::{Event, ExtractError};

/// Reads the arguments into the tuple `T`, of which `fields` names the elements, as far as they have names.
///
/// # Errors
///
/// [`ExtractError::Args`], whose text has the path of what is wrong: ``argument 1: field `users[2].name`: …``.
pub fn read<S, T: DeserializeOwned>(
    event: &Event<'_, S>,
    fields: &[&str],
) -> Result<T, ExtractError> {
    let args = event.args();
    args.deserialize()
        .map_err(|error| name_field::<T>(args, error, fields).into())
}

/// Says which field the error is about. serde_json knows the line and the column alone.
#[cold]
fn name_field<T: DeserializeOwned>(
    args: &RawArgs<'_>,
    error: ArgsError,
    fields: &[&str],
) -> ArgsError {
    match error {
        ArgsError::Missing { argument } => match fields.get(argument - 1) {
            Some(field) => ArgsError::Shape {
                argument,
                error: Error::custom(format_args!("field `{field}` is missing")),
            },
            None => error,
        },
        ArgsError::Shape { argument, error } => {
            let path = path_of_failure::<T>(args);
            let field = fields.get(argument - 1).copied().unwrap_or_default();
            // The path begins with the number of the argument, in brackets.
            let inside = path.split_once(']').map_or("", |(_, inside)| inside);
            let place = format!("{field}{inside}");
            let place = place.trim_start_matches('.');
            let error = match place {
                "" => error,
                _ => Error::custom(format_args!("field `{place}`: {error}")),
            };
            ArgsError::Shape { argument, error }
        }
        error => error,
    }
}

/// Where reading stops, as in `[0].users[2].name`. It reads once more, so that reading costs nothing for this as long
/// as nothing is wrong.
fn path_of_failure<T: DeserializeOwned>(args: &RawArgs<'_>) -> String {
    match args.deserialize::<Failure<T>>() {
        Err(ArgsError::Refused(path)) => path.into(),
        _ => String::new(),
    }
}

/// A type that is read in order to fail: the text of its error is the path.
struct Failure<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Failure<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
        match T::deserialize(tracked) {
            Ok(_) => Ok(Self(PhantomData)),
            Err(_) => Err(Error::custom(track.path())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct User {
        #[expect(dead_code, reason = "only read")]
        name: String,
    }

    fn error<T: DeserializeOwned + std::fmt::Debug>(array: &str, fields: &[&str]) -> String {
        let args = RawArgs::from_array(array).unwrap();
        let event = Event::incoming(&(), "event", args, None);
        read::<(), T>(&event, fields).unwrap_err().to_string()
    }

    #[test]
    fn path_leads_to_what_is_wrong() {
        for (array, text) in [
            (
                r#"[{"users":[{"name":"a"},{"name":1}]}]"#,
                "argument 1: field `users[1].name`: invalid type: integer `1`, expected a string",
            ),
            // What is in keys does not lead astray.
            (
                r#"[{"a]b":[{"name":[]}]}]"#,
                "argument 1: field `a]b[0].name`: invalid type: sequence, expected a string",
            ),
            (
                r#"[{"users":[{}]}]"#,
                "argument 1: field `users[0]`: missing field `name`",
            ),
            (
                "[1]",
                "argument 1: invalid type: integer `1`, expected a map",
            ),
            ("[]", "argument 1 is missing"),
        ] {
            let error = error::<(BTreeMap<String, Vec<User>>,)>(array, &[]);
            assert!(error.starts_with(text), "{error}");
        }
    }

    #[test]
    fn arguments_have_the_names_of_fields() {
        type Two = (User, Vec<u8>);
        for (array, named, unnamed) in [
            (
                r#"[{"name":1},[]]"#,
                "argument 1: field `user.name`: invalid type: integer `1`, expected a string",
                "argument 1: field `name`: invalid type: integer `1`, expected a string",
            ),
            (
                r#"[{"name":""},[1,256]]"#,
                "argument 2: field `bytes[1]`: invalid value: integer `256`, expected u8",
                "argument 2: field `[1]`: invalid value: integer `256`, expected u8",
            ),
            (
                r#"[{"name":""}]"#,
                "argument 2: field `bytes` is missing",
                "argument 2 is missing",
            ),
        ] {
            let error_with = |fields: &[&str]| error::<Two>(array, fields);
            let error = error_with(&["user", "bytes"]);
            assert!(error.starts_with(named), "{error}");
            let error = error_with(&[]);
            assert!(error.starts_with(unnamed), "{error}");
        }
    }

    #[test]
    fn broken_json_stays_an_error_of_the_protocol() {
        let args = RawArgs::from_array(r#"[{"users":[{"name":"\x"}]}]"#).unwrap();
        let event = Event::incoming(&(), "event", args, None);
        let error = read::<(), (BTreeMap<String, Vec<User>>,)>(&event, &[]).unwrap_err();
        assert!(
            matches!(&error, ExtractError::Args(error) if error.is_syntax()),
            "{error:?}"
        );
    }
}
