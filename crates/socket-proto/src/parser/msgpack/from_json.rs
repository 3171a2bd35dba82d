//! JSON as values.

use bytes::Bytes;

use super::write;
use crate::args::placeholder::{self, Placeholder, PlaceholderError};
use crate::name::read_name;
use crate::parser::ParserError;
use crate::scan::{ScanError, is_number, is_plain_string, skip_space, skip_string};

/// Containers inside each other: as many as serde_json reads.
const MAX_DEPTH: usize = 128;

/// Appends the value that `json` is, with an attachment in the place of each placeholder.
pub(super) fn transcode(
    json: &str,
    attachments: &[Bytes],
    out: &mut Vec<u8>,
) -> Result<(), ParserError> {
    run(json, attachments, out, |transcoder| transcoder.value())
}

/// Appends each of the values that have commas between them.
pub(super) fn transcode_items(
    list: &str,
    attachments: &[Bytes],
    out: &mut Vec<u8>,
) -> Result<(), ParserError> {
    run(list, attachments, out, |transcoder| {
        transcoder.skip_space();
        if transcoder.byte().is_none() {
            return Ok(());
        }
        transcoder.value()?;
        transcoder.skip_space();
        while transcoder.byte().is_some() {
            transcoder.token(b',', "a comma")?;
            transcoder.value()?;
            transcoder.skip_space();
        }
        Ok(())
    })
}

fn run(
    json: &str,
    attachments: &[Bytes],
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Transcoder<'_>) -> Result<(), ParserError>,
) -> Result<(), ParserError> {
    let places = match attachments {
        [] => Vec::new(),
        _ => placeholder::find(json, attachments.len()).map_err(misplaced)?,
    };
    let mut transcoder = Transcoder {
        json,
        at: 0,
        places: &places,
        attachments,
        // How many values there are is to be written in front of them.
        sizes: &sizes(json, &places)?,
        out,
    };
    write(&mut transcoder)?;
    transcoder.skip_space();
    match transcoder.at == json.len() {
        true => Ok(()),
        false => Err(transcoder.broken("nothing more")),
    }
}

/// How many values are in each array and object, keys included, in the order in which these begin.
fn sizes(json: &str, places: &[Placeholder]) -> Result<Vec<usize>, ParserError> {
    let bytes = json.as_bytes();
    let mut places = places;
    let mut sizes = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' | b',' | b':' => continue,
            b']' | b'}' => {
                open.pop();
                continue;
            }
            _ => {}
        }
        if let Some(&parent) = open.last() {
            sizes[parent] += 1;
        }
        if let Some(place) = take_place(&mut places, start) {
            at = place.object.end;
            continue;
        }
        match byte {
            b'[' | b'{' if open.len() == MAX_DEPTH => {
                return Err(ParserError::new(format_args!(
                    "more than {MAX_DEPTH} values inside each other"
                )));
            }
            b'[' | b'{' => {
                open.push(sizes.len());
                sizes.push(0);
            }
            b'"' => at = skip_string(bytes, start).map_err(broken)?,
            _ => at = scalar_end(bytes, start),
        }
    }
    Ok(sizes)
}

struct Transcoder<'a> {
    json: &'a str,
    at: usize,
    places: &'a [Placeholder],
    attachments: &'a [Bytes],
    sizes: &'a [usize],
    out: &'a mut Vec<u8>,
}

impl Transcoder<'_> {
    /// No deeper than the sizes have been counted.
    fn value(&mut self) -> Result<(), ParserError> {
        self.skip_space();
        if let Some(place) = take_place(&mut self.places, self.at) {
            self.at = place.object.end;
            return write::bytes(self.out, &self.attachments[place.num]);
        }
        match self.byte() {
            Some(b'"') => self.text(),
            Some(b'[') => {
                let items = self.open()?;
                write::array(self.out, items)?;
                for item in 0..items {
                    if item > 0 {
                        self.token(b',', "a comma")?;
                    }
                    self.value()?;
                }
                self.token(b']', "the end of an array")
            }
            Some(b'{') => {
                let items = self.open()?;
                write::map(self.out, items / 2)?;
                for pair in 0..items / 2 {
                    if pair > 0 {
                        self.token(b',', "a comma")?;
                    }
                    self.skip_space();
                    match self.byte() {
                        Some(b'"') => self.text()?,
                        _ => return Err(self.broken("a key")),
                    }
                    self.token(b':', "a colon")?;
                    self.value()?;
                }
                self.token(b'}', "the end of an object")
            }
            _ => self.scalar(),
        }
    }

    /// Goes into a container; says how many values are in it.
    fn open(&mut self) -> Result<usize, ParserError> {
        let (&size, sizes) = self.sizes.split_first().expect("all of them were counted");
        self.sizes = sizes;
        self.at += 1;
        Ok(size)
    }

    fn text(&mut self) -> Result<(), ParserError> {
        let end = skip_string(self.json.as_bytes(), self.at).map_err(broken)?;
        let quoted = &self.json[self.at..end];
        if is_plain_string(quoted) {
            write::text(self.out, &quoted[1..quoted.len() - 1])?;
        } else {
            let (text, _) = read_name(self.json, self.at).map_err(broken)?;
            write::text(self.out, &text)?;
        }
        self.at = end;
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), ParserError> {
        let end = scalar_end(self.json.as_bytes(), self.at);
        match &self.json[self.at..end] {
            "null" => write::nil(self.out),
            "true" => write::bool(self.out, true),
            "false" => write::bool(self.out, false),
            token if is_number(token.as_bytes()) => write::number(self.out, token)?,
            _ => return Err(self.broken("a value")),
        }
        self.at = end;
        Ok(())
    }

    fn token(&mut self, token: u8, name: &'static str) -> Result<(), ParserError> {
        self.skip_space();
        if self.byte() != Some(token) {
            return Err(self.broken(name));
        }
        self.at += 1;
        Ok(())
    }

    fn byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        self.at = skip_space(self.json.as_bytes(), self.at);
    }

    fn broken(&self, expected: &'static str) -> ParserError {
        let at = self.at;
        broken(ScanError { at, expected })
    }
}

/// The place that begins here. Those inside another one have gone with it.
fn take_place<'p>(places: &mut &'p [Placeholder], at: usize) -> Option<&'p Placeholder> {
    while let Some((place, rest)) = places.split_first()
        && place.object.start <= at
    {
        *places = rest;
        if place.object.start == at {
            return Some(place);
        }
    }
    None
}

fn scalar_end(bytes: &[u8], start: usize) -> usize {
    let is_end = |byte: &u8| {
        matches!(
            byte,
            b' ' | b'\n' | b'\r' | b'\t' | b',' | b':' | b'[' | b']' | b'{' | b'}' | b'"'
        )
    };
    let len = bytes[start..].iter().position(is_end);
    len.map_or(bytes.len(), |len| start + len)
}

fn broken(error: ScanError) -> ParserError {
    let ScanError { at, expected } = error;
    ParserError::new(format_args!(
        "broken JSON at byte {at}: expected {expected}"
    ))
}

fn misplaced(error: PlaceholderError) -> ParserError {
    match error {
        PlaceholderError::TooDeep => ParserError::new("placeholders that are nested too deeply"),
        PlaceholderError::Missing => ParserError::new("a placeholder for no attachment"),
        PlaceholderError::Shared { num } => {
            ParserError::new(format_args!("two placeholders for attachment {num}"))
        }
    }
}
