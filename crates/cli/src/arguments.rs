//! Arguments of events as people write them.

use std::io::Read;
use std::path::Path;
use std::{fs, io};

use bytes::Bytes;
use serde_json::value::RawValue;
use sockeye::client::{Args, ArgsWriter, EncodeError, ToArgs};
use thiserror::Error;

/// One argument.
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    /// Passed on as it was written, so that no digit of a number is lost.
    Json(Box<RawValue>),
    /// An attachment.
    Bytes(Bytes),
}

/// The arguments of one event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments(pub(crate) Vec<Argument>);

/// Why a text is no argument.
#[derive(Debug, Error)]
pub(crate) enum ArgumentError {
    #[error("{text} is not JSON, which it begins like")]
    Json {
        text: String,
        source: serde_json::Error,
    },
    #[error("{path} cannot be read")]
    File { path: String, source: io::Error },
    #[error("standard input cannot be read")]
    Stdin(#[source] io::Error),
}

impl Argument {
    /// `@file` is what the file holds, `@-` what standard input does; what is JSON is that, and
    /// anything else a string. Only what begins like an object, a list or a string in quotes must be
    /// JSON to its end: sent as a string it would be a mistake that is hard to find.
    pub(crate) fn parse(text: &str) -> Result<Self, ArgumentError> {
        if text == "@-" {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(ArgumentError::Stdin)?;
            return Ok(Self::Bytes(bytes.into()));
        }
        if let Some(path) = text.strip_prefix('@') {
            return match fs::read(Path::new(path)) {
                Ok(bytes) => Ok(Self::Bytes(bytes.into())),
                Err(source) => Err(ArgumentError::File {
                    path: path.to_owned(),
                    source,
                }),
            };
        }
        match serde_json::from_str::<Box<RawValue>>(text) {
            Ok(json) => Ok(Self::Json(json)),
            Err(source) if text.trim_start().starts_with(['{', '[', '"']) => {
                let text = text.to_owned();
                Err(ArgumentError::Json { text, source })
            }
            Err(_) => Ok(Self::text(text)),
        }
    }

    /// A string.
    pub(crate) fn text(text: &str) -> Self {
        let json = serde_json::value::to_raw_value(text);
        Self::Json(json.expect("any string can be JSON"))
    }
}

impl ArgumentError {
    /// What to do about it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Json { .. } => {
                "To send it as a string, put it into double quotes inside of single ones: \
                 '\"[text]\"'."
            }
            Self::File { .. } | Self::Stdin(_) => {
                "To send a string that begins with @, put it into double quotes inside of single \
                 ones: '\"@text\"'."
            }
        }
    }
}

impl Arguments {
    pub(crate) fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, ArgumentError> {
        let arguments = texts.iter().map(|text| Argument::parse(text.as_ref()));
        arguments.collect::<Result<_, _>>().map(Self)
    }

    /// The form in which they are sent.
    pub(crate) fn encode(&self) -> Result<Args, EncodeError> {
        Args::new(self)
    }
}

impl ToArgs for Arguments {
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        self.0.iter().try_for_each(|argument| match argument {
            Argument::Json(json) => out.push(json),
            Argument::Bytes(bytes) => out.push(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_a_string() {
        let texts = [
            "1.50",
            "true",
            "two words",
            "",
            "-",
            "{\"b\": 1, \"a\":2}",
            "null",
        ];
        let args = Arguments::parse(&texts).unwrap().encode().unwrap();
        assert_eq!(
            args.as_json(),
            r#"1.50,true,"two words","","-",{"b": 1, "a":2},null"#
        );
    }

    #[test]
    fn what_begins_like_json_must_be_it() {
        for wrong in ["{", "[1,", "\"a", "{a:1}", "[1] 2"] {
            assert!(Argument::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn file_that_cannot_be_read_is_named() {
        let error = Argument::parse("@/no/such/file").unwrap_err();
        assert_eq!(error.to_string(), "/no/such/file cannot be read");
    }
}
