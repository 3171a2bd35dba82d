//! What is typed: events and commands, a line each.

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::arguments::{Argument, ArgumentError, Arguments};

/// One line, understood.
#[derive(Debug)]
pub(super) enum Input {
    /// Nothing, or a comment.
    Nothing,
    Emit {
        event: String,
        args: Arguments,
        wants_ack: bool,
    },
    /// The answer to the event of this number.
    Answer {
        number: u64,
        args: Arguments,
    },
    Connect,
    Help,
    Quit,
}

/// Why a line is not understood.
#[derive(Debug, Error)]
pub(super) enum InputError {
    #[error("there is no command {0}; /help tells which there are")]
    Command(String),
    #[error("{0} takes no arguments")]
    NoArguments(String),
    #[error("write the number of the event first: /answer 1 \"yes\"")]
    Number,
    #[error("the name of an event is missing")]
    Name,
    #[error("{0} is no event's name; put it into double quotes if it is")]
    NameShape(String),
    #[error("there is no end to what begins at {0}")]
    Quote(String),
    #[error("there must be a space before {0}")]
    Space(String),
    #[error("the JSON that begins at {0} is not right")]
    Json(String, #[source] serde_json::Error),
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    #[error("a line that begins with {{ is {REQUEST}")]
    Request(#[source] serde_json::Error),
    #[error("a line that begins with {{ is {REQUEST}")]
    RequestShape,
}

/// What the commands are called.
pub(super) const COMMANDS: [&str; 4] = ["/answer", "/connect", "/help", "/quit"];

const REQUEST: &str = r#"{"event":"name","args":[…],"ack":true} or {"answer":number,"args":[…]}"#;

/// A line as programs would rather write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Either this
    event: Option<String>,
    /// or this.
    answer: Option<u64>,
    #[serde(default)]
    args: Vec<Box<RawValue>>,
    #[serde(default)]
    ack: bool,
}

/// The words of a line.
struct Words<'a>(&'a str);

pub(super) fn parse(line: &str) -> Result<Input, InputError> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Input::Nothing);
    }
    if line.starts_with('{') {
        return request(line);
    }
    if line.starts_with('/') {
        return command(line);
    }
    let (wants_ack, line) = match line.strip_prefix('?') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let mut words = Words(line);
    let event = words.name()?;
    let args = words.arguments()?;
    Ok(Input::Emit {
        event,
        args,
        wants_ack,
    })
}

fn command(line: &str) -> Result<Input, InputError> {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let simple = match name {
        "/answer" => {
            let (number, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            let number = number.parse().map_err(|_| InputError::Number)?;
            let args = Words(rest).arguments()?;
            return Ok(Input::Answer { number, args });
        }
        "/connect" => Input::Connect,
        "/help" => Input::Help,
        "/quit" => Input::Quit,
        _ => return Err(InputError::Command(name.to_owned())),
    };
    match rest {
        "" => Ok(simple),
        _ => Err(InputError::NoArguments(name.to_owned())),
    }
}

fn request(line: &str) -> Result<Input, InputError> {
    let request: Request = serde_json::from_str(line).map_err(InputError::Request)?;
    let args = Arguments(request.args.into_iter().map(Argument::Json).collect());
    match (request.event, request.answer) {
        (Some(event), None) => Ok(Input::Emit {
            event,
            args,
            wants_ack: request.ack,
        }),
        (None, Some(number)) if !request.ack => Ok(Input::Answer { number, args }),
        _ => Err(InputError::RequestShape),
    }
}

impl<'a> Words<'a> {
    /// The name of an event: a word, or a string in double quotes.
    fn name(&mut self) -> Result<String, InputError> {
        if self.0.starts_with('"') {
            let json = self.json()?;
            return serde_json::from_str(json.get())
                .map_err(|error| InputError::Json(excerpt(json.get()), error));
        }
        match self.word() {
            "" => Err(InputError::Name),
            word if word.starts_with(['{', '[', '\'', '@']) => {
                Err(InputError::NameShape(excerpt(word)))
            }
            word => Ok(word.to_owned()),
        }
    }

    fn arguments(mut self) -> Result<Arguments, InputError> {
        let mut arguments = Vec::new();
        loop {
            self.0 = self.0.trim_start();
            let argument = match self.0.as_bytes().first() {
                None => return Ok(Arguments(arguments)),
                Some(b'{' | b'[' | b'"') => Argument::Json(self.json()?.to_owned()),
                Some(b'\'') => Argument::text(self.single_quoted()?),
                Some(_) => Argument::parse(self.word())?,
            };
            arguments.push(argument);
        }
    }

    /// JSON to its end, wherever spaces are in it.
    fn json(&mut self) -> Result<&'a RawValue, InputError> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(value)) => {
                self.advance(values.byte_offset())?;
                Ok(value)
            }
            Some(Err(error)) if error.is_eof() => Err(InputError::Quote(excerpt(self.0))),
            Some(Err(error)) => Err(InputError::Json(excerpt(self.0), error)),
            None => Err(InputError::Quote(excerpt(self.0))),
        }
    }

    /// Everything up to the next single quote, as it is.
    fn single_quoted(&mut self) -> Result<&'a str, InputError> {
        let text = &self.0[1..];
        let end = text
            .find('\'')
            .ok_or_else(|| InputError::Quote(excerpt(self.0)))?;
        self.advance(end + 2)?;
        Ok(&text[..end])
    }

    fn word(&mut self) -> &'a str {
        let end = self.0.find(char::is_whitespace).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    /// Goes on behind a value, which must be the end of a word.
    fn advance(&mut self, len: usize) -> Result<(), InputError> {
        let rest = &self.0[len..];
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(InputError::Space(excerpt(rest)));
        }
        self.0 = rest;
        Ok(())
    }
}

/// The beginning of a text, for messages.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(20) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> (String, String, bool) {
        match parse(line).unwrap() {
            Input::Emit {
                event,
                args,
                wants_ack,
            } => {
                let args = args.encode().unwrap().as_json().to_owned();
                (event, args, wants_ack)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn event_has_a_name_and_arguments() {
        let of = |name: &str, args: &str, ack| (name.to_owned(), args.to_owned(), ack);
        assert_eq!(event("hello"), of("hello", "", false));
        assert_eq!(
            event(r#"  add {"a": [1, 2]} "two words" 3 three  "#),
            of("add", r#"{"a": [1, 2]},"two words",3,"three""#, false)
        );
        assert_eq!(event("?sum [1,2] true"), of("sum", "[1,2],true", true));
        assert_eq!(
            event(r#"say 'it is "so"' "#),
            of("say", r#""it is \"so\"""#, false)
        );
        assert_eq!(
            event(r#"?"two words" it's"#),
            of("two words", r#""it's""#, true)
        );
        assert_eq!(event(r#""/slash""#), of("/slash", "", false));
    }

    #[test]
    fn commands_are_known() {
        assert!(matches!(parse("/quit").unwrap(), Input::Quit));
        assert!(matches!(parse(" /help ").unwrap(), Input::Help));
        assert!(matches!(parse("/connect").unwrap(), Input::Connect));
        assert!(matches!(parse("# note").unwrap(), Input::Nothing));
        let Input::Answer { number, args } = parse("/answer 12 \"a b\" 1").unwrap() else {
            panic!("an answer");
        };
        assert_eq!(
            (number, args.encode().unwrap().as_json()),
            (12, r#""a b",1"#)
        );
    }

    #[test]
    fn programs_write_objects() {
        let line = r#"{"event":"a b","args":[1,{"x": "y"}],"ack":true}"#;
        let wanted = ("a b".to_owned(), r#"1,{"x": "y"}"#.to_owned(), true);
        assert_eq!(event(line), wanted);
        assert_eq!(
            event(r#"{"event":"a"}"#),
            ("a".into(), String::new(), false)
        );
        let answer = parse(r#"{"answer":3,"args":[]}"#).unwrap();
        assert!(matches!(answer, Input::Answer { number: 3, .. }));
    }

    #[test]
    fn mistakes_are_told() {
        for (line, start) in [
            ("/nothing", "there is no command /nothing"),
            ("/quit now", "/quit takes no arguments"),
            ("/answer yes", "write the number"),
            ("?", "the name of an event is missing"),
            ("[1]", "[1] is no event's name"),
            ("a \"b", "there is no end"),
            ("a 'b", "there is no end"),
            ("a [1}", "the JSON that begins at [1}"),
            ("a [1]2", "there must be a space before 2"),
            ("a @/no/such/file", "/no/such/file cannot be read"),
            ("{\"event\":1}", "a line that begins with { is"),
            ("{}", "a line that begins with { is"),
            ("{\"event\":\"a\",\"arg\":[]}", "a line that begins with {"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.starts_with(start), "{line}: {error}");
        }
    }
}
