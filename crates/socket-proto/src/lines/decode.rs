//! What a line says.

use std::borrow::Cow;

use super::config::{BadLines, LinesConfig};
use super::error::LineError;
use super::reserved::is_reserved_line_event;
use crate::RawArgs;
use crate::members::{Member, Members};
use crate::name::read_name;

/// One line, borrowed from the buffer it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// An event.
    Event(LineEvent<'a>),
    /// The answer to an event that carried an id.
    Ack {
        /// The id of that event.
        id: u64,
        /// What the peer answered.
        args: RawArgs<'a>,
    },
    /// The peer's middleware refused an event.
    Error {
        /// Why; empty if the peer did not say.
        message: Cow<'a, str>,
        /// More about it: one value, or none.
        data: RawArgs<'a>,
    },
    /// An object that is none of these. Plain peers ignore it; it may be an extension of another program.
    Other,
}

/// An event as a line carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineEvent<'a> {
    /// The name, which may be empty; borrowed unless it has escapes.
    pub name: Cow<'a, str>,
    /// The arguments.
    pub args: RawArgs<'a>,
    /// Under which id the sender expects an acknowledgement. An `id` that is not an integer from 0 to 2^64 - 1 is taken
    /// for something else that the sender uses for itself.
    pub ack_id: Option<u64>,
    /// Whether the line had `args` that were no array, so that there are no arguments now: worth a warning.
    pub args_dropped: bool,
}

/// Finds the parts of one line by scanning; allocates nothing unless a name has escapes.
///
/// Keys may be in any order, and of repeated ones the last counts, as in JavaScript. Unknown keys are skipped. White
/// space around the object is skipped too. Arguments stay raw JSON whose outline has been checked; the rest is
/// validated when they are read or passed on.
///
/// # Errors
///
/// When the line is not a JSON object, its event has a name that is no string or is reserved, or an acknowledgement has
/// `args` that are no array. With [`BadLines::Close`], also instead of [`Line::Other`].
/// [`LineError::verdict`] knows what is to be done then.
pub fn decode<'a>(line: &'a [u8], config: &LinesConfig) -> Result<Line<'a>, LineError> {
    let text = std::str::from_utf8(line).map_err(|_| LineError::Utf8)?;
    let parts = Parts::find(text)?;
    let with_form = |args: RawArgs<'a>| match config.revive_buffers {
        true => args.with_buffers(),
        false => args,
    };
    if let Some(member) = parts.event_name {
        if !member.value.starts_with('"') {
            return Err(LineError::EventName);
        }
        let name = string(&member)?;
        if is_reserved_line_event(&name) {
            return Err(LineError::ReservedEvent(name.into()));
        }
        let args = parts.args.as_ref().map_or(Ok(None), array)?;
        return Ok(Line::Event(LineEvent {
            name,
            args_dropped: parts.args.is_some() && args.is_none(),
            args: with_form(args.unwrap_or_else(RawArgs::empty)),
            ack_id: parts.id.as_ref().and_then(id),
        }));
    }
    if let Some(id) = parts.ack.as_ref().and_then(id) {
        let args = match &parts.args {
            None => RawArgs::empty(),
            Some(member) => array(member)?.ok_or(LineError::AckArgs { id })?,
        };
        let args = with_form(args);
        return Ok(Line::Ack { id, args });
    }
    if let Some((message, data)) = parts.error.as_ref().map_or(Ok(None), refusal)? {
        let data = with_form(data);
        return Ok(Line::Error { message, data });
    }
    match config.bad_lines {
        BadLines::Ignore => Ok(Line::Other),
        BadLines::Close => Err(LineError::Unknown),
    }
}

/// The members of a line that mean something.
#[derive(Default)]
struct Parts<'a> {
    event_name: Option<Member<'a>>,
    args: Option<Member<'a>>,
    id: Option<Member<'a>>,
    ack: Option<Member<'a>>,
    error: Option<Member<'a>>,
}

impl<'a> Parts<'a> {
    fn find(text: &'a str) -> Result<Self, LineError> {
        let mut members = Members::open(text).ok_or(LineError::NotAnObject)?;
        let mut parts = Self::default();
        while let Some(member) = members.next().map_err(|error| LineError::json(0, error))? {
            let part = match &*member.key {
                "eventName" => &mut parts.event_name,
                "args" => &mut parts.args,
                "id" => &mut parts.id,
                "ack" => &mut parts.ack,
                "error" => &mut parts.error,
                _ => continue,
            };
            *part = Some(member);
        }
        Ok(parts)
    }
}

/// The string that the member's value is known to be.
fn string<'a>(member: &Member<'a>) -> Result<Cow<'a, str>, LineError> {
    match read_name(member.value, 0) {
        Ok((string, _)) => Ok(string),
        Err(error) => Err(LineError::json(member.at, error)),
    }
}

/// The items of an array, or `None` if the value is something else.
fn array<'a>(member: &Member<'a>) -> Result<Option<RawArgs<'a>>, LineError> {
    if !member.value.starts_with('[') {
        return Ok(None);
    }
    RawArgs::from_array(member.value)
        .map(Some)
        .map_err(|error| LineError::array(member.at, &error))
}

fn id(member: &Member<'_>) -> Option<u64> {
    // `parse` alone would accept a sign; the scan has seen to the rest of the grammar.
    let digits = member.value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| member.value.parse().ok())?
}

/// Message and data of an error, or `None` if it has another form than ours.
fn refusal<'a>(error: &Member<'a>) -> Result<Option<(Cow<'a, str>, RawArgs<'a>)>, LineError> {
    if error.value.starts_with('"') {
        return Ok(Some((string(error)?, RawArgs::empty())));
    }
    let Some(mut members) = Members::open(error.value) else {
        return Ok(None);
    };
    let json = |wrong| LineError::json(error.at, wrong);
    let (mut message, mut data) = (Cow::Borrowed(""), RawArgs::empty());
    while let Some(mut member) = members.next().map_err(json)? {
        member.at += error.at;
        match &*member.key {
            "message" if member.value.starts_with('"') => message = string(&member)?,
            "data" => data = RawArgs::from_list(member.value).map_err(json)?,
            _ => {}
        }
    }
    Ok(Some((message, data)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::lines::{RESERVED_LINE_EVENTS, Verdict};

    fn read(line: &str) -> Result<Line<'_>, LineError> {
        decode(line.as_bytes(), &LinesConfig::default())
    }

    fn event(line: &str) -> LineEvent<'_> {
        match read(line).unwrap() {
            Line::Event(event) => event,
            line => panic!("{line:?}"),
        }
    }

    fn strict() -> LinesConfig {
        LinesConfig::default().bad_lines(BadLines::Close)
    }

    #[test]
    fn examples_of_the_reference_are_read() {
        let sum = event(r#"{"eventName":"sum","args":[[1,2,3]]}"#);
        assert!(matches!(sum.name, Cow::Borrowed("sum")));
        assert_eq!(sum.args.deserialize::<Vec<u8>>().unwrap(), [1, 2, 3]);
        assert_eq!((sum.ack_id, sum.args_dropped), (None, false));
        let tick = event(r#"{"eventName":"tick"}"#);
        assert!(tick.args.is_empty() && !tick.args_dropped);
        let raw = event(r#"{"eventName":"raw","args":[{"type":"Buffer","data":[1,2,255]}]}"#);
        assert_eq!(raw.args.deserialize::<Bytes>().unwrap(), &[1, 2, 255][..]);
    }

    #[test]
    fn extensions_are_read() {
        let event = event(r#"{"eventName":"sum","args":[1],"id":7}"#);
        assert_eq!(event.ack_id, Some(7));
        let args = RawArgs::from_array("[6]").unwrap().with_buffers();
        assert_eq!(
            read(r#"{"ack":7,"args":[6]}"#),
            Ok(Line::Ack { id: 7, args })
        );
        let args = RawArgs::empty().with_buffers();
        assert_eq!(read(r#"{"ack":0}"#), Ok(Line::Ack { id: 0, args }));
        let refused = read(r#"{"error":{"message":"n\u006f","data":{"code":1}}}"#).unwrap();
        let Line::Error { message, data } = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((&*message, data.as_json()), ("no", r#"{"code":1}"#));
        let message = "no".into();
        let data = RawArgs::empty().with_buffers();
        assert_eq!(read(r#"{"error":"no"}"#), Ok(Line::Error { message, data }));
    }

    #[test]
    fn keys_may_be_in_any_order_and_unknown_ones_are_skipped() {
        let event = event(
            r#" { "id" : 18446744073709551615, "x":{"eventName":"no"}, "args" : [ 1 , "a" ], "ack":1, "event\u004eame":"a\ud83d\ude00" } "#,
        );
        assert_eq!((&*event.name, event.ack_id), ("a😀", Some(u64::MAX)));
        assert_eq!(event.args.deserialize::<(u8, &str)>().unwrap(), (1, "a"));
        assert_eq!(self::event(r#"{"eventName":1,"eventName":""}"#).name, "");
    }

    #[test]
    fn args_that_are_no_array_are_dropped() {
        for args in ["null", "1", "\"abc\"", r#"{"0":1,"length":1}"#] {
            let line = format!(r#"{{"eventName":"a","args":{args}}}"#);
            let event = event(&line);
            assert!(event.args.is_empty() && event.args_dropped);
        }
        let error = read(r#"{"ack":3,"args":1}"#).unwrap_err();
        assert_eq!(error, LineError::AckArgs { id: 3 });
    }

    #[test]
    fn other_uses_of_id_are_left_alone() {
        for id in ["-1", "1.0", "1e3", "\"1\"", "null", "18446744073709551616"] {
            assert_eq!(
                event(&format!(r#"{{"eventName":"a","id":{id}}}"#)).ack_id,
                None
            );
            let line = format!(r#"{{"ack":{id}}}"#);
            assert_eq!(read(&line), Ok(Line::Other));
            let error = decode(line.as_bytes(), &strict()).unwrap_err();
            assert_eq!(error, LineError::Unknown);
        }
    }

    #[test]
    fn buffers_are_objects_if_they_are_not_to_be_revived() {
        let config = LinesConfig::default().revive_buffers(false);
        let line = br#"{"eventName":"raw","args":[{"type":"Buffer","data":[1]}]}"#;
        let Ok(Line::Event(event)) = decode(line, &config) else {
            panic!("an event");
        };
        assert!(event.args.deserialize::<Bytes>().is_err());
        assert!(!event.args.has_buffers());
    }

    #[test]
    fn reserved_names_are_never_dispatched() {
        for name in RESERVED_LINE_EVENTS.iter().chain(&crate::RESERVED_EVENTS) {
            let line = format!(r#"{{"eventName":"{name}","args":[]}}"#);
            let error = read(&line).unwrap_err();
            assert_eq!(error, LineError::ReservedEvent((*name).into()));
            assert_eq!(error.verdict(&LinesConfig::default()), Verdict::Report);
            assert_eq!(error.verdict(&strict()), Verdict::Close);
        }
        assert!(read(r#"{"eventName":"\u0065rror"}"#).is_err());
    }

    #[test]
    fn lines_that_mean_nothing_are_errors_that_may_be_ignored() {
        for (line, error) in [
            ("null", LineError::NotAnObject),
            ("0", LineError::NotAnObject),
            ("[1]", LineError::NotAnObject),
            ("GET / HTTP/1.1", LineError::NotAnObject),
            (r#"{"eventName":null}"#, LineError::EventName),
            (r#"{"eventName":5}"#, LineError::EventName),
        ] {
            assert_eq!(read(line), Err(error.clone()), "{line}");
            assert_eq!(error.verdict(&LinesConfig::default()), Verdict::Ignore);
            assert_eq!(error.verdict(&strict()), Verdict::Close);
        }
        for (line, at) in [
            (r#"{"eventName":"a""#, 16),
            (r#"{"eventName":"\x"}"#, 14),
            (r#"{"eventName":"a","args":[1,]}"#, 27),
            (r#"{"eventName":"a","args":[1}}"#, 24),
            (r#"{"error":{"message":"\x"}}"#, 21),
            (r#"{"eventName":"a"}{}"#, 17),
        ] {
            let error = read(line).unwrap_err();
            assert!(
                matches!(error, LineError::Json { at: found, .. } if found == at),
                "{line}: {error}"
            );
        }
        let config = LinesConfig::default();
        assert_eq!(
            decode(b"{\"eventName\":\"\xff\"}", &config),
            Err(LineError::Utf8)
        );
    }

    #[test]
    fn objects_of_other_kinds_are_skipped() {
        for line in ["{}", r#"{"hello":1}"#, r#"{"args":[1]}"#, r#"{"error":1}"#] {
            assert_eq!(read(line), Ok(Line::Other), "{line}");
        }
    }
}
