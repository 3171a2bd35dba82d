//! What people may send: the limits of `assets/PROTOCOL.md`, and how a refusal sounds.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Characters in the name of a person or room.
pub(crate) const MAX_NAME: usize = 32;
pub(crate) const MAX_ROOMS: usize = 200;
/// Characters in a message.
pub(crate) const MAX_TEXT: usize = 2000;
/// Messages that each room remembers.
pub(crate) const HISTORY: usize = 50;
/// Bytes in a picture.
pub(crate) const MAX_PICTURE: usize = 5 << 20;
/// Characters in the name of a picture.
pub(crate) const MAX_PICTURE_NAME: usize = 100;
pub(crate) const MAX_CHUNK: usize = 64 << 10;
/// Bytes of all pictures that are kept.
pub(crate) const MAX_ALBUM: usize = 64 << 20;
/// Bytes that all pictures together may have received before they are complete.
pub(crate) const MAX_UPLOADS: usize = 64 << 20;

/// Why a request is refused, in words for whoever made it.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("This server does not understand the page: {0}.")]
    Arguments(String),
    #[error("{0} must have 1 to {1} characters.")]
    Length(&'static str, usize),
    #[error("{0} must not have control characters.")]
    Control(&'static str),
    #[error("Join a room first.")]
    NotJoined,
    #[error("There are as many rooms as there can be; join one of them.")]
    NoRoomLeft,
    #[error("A picture may have 1 byte to 5 MB.")]
    PictureSize,
    #[error("Only PNG, JPEG, GIF, WebP and AVIF pictures can be sent.")]
    PictureType,
    #[error("The name of a picture may have 100 characters.")]
    PictureName,
    #[error("The picture is not of the type that was announced.")]
    PictureContent,
    #[error("The upload was given up; please try again.")]
    UnknownUpload,
    #[error("The parts of the picture came in the wrong order or size.")]
    Chunk,
    #[error("The picture is not kept any more.")]
    UnknownPicture,
}

/// A picture that a browser can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum PictureType {
    #[serde(rename = "image/png")]
    Png,
    #[serde(rename = "image/jpeg")]
    Jpeg,
    #[serde(rename = "image/gif")]
    Gif,
    #[serde(rename = "image/webp")]
    WebP,
    #[serde(rename = "image/avif")]
    Avif,
}

/// The name of a person, without the space around it.
pub(crate) fn person_name(name: &str) -> Result<&str, Refusal> {
    line("Your name", name)
}

/// The name of a room, without the space around it.
pub(crate) fn room_name(name: &str) -> Result<&str, Refusal> {
    line("The name of a room", name)
}

/// The text of a message, without the space around it. Line feeds and tabs may be inside.
pub(crate) fn message_text(text: &str) -> Result<&str, Refusal> {
    let text = text.trim();
    if !has_length(text, 1, MAX_TEXT) {
        return Err(Refusal::Length("A message", MAX_TEXT));
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(Refusal::Control("A message"));
    }
    Ok(text)
}

/// The name of a picture, which may be empty, without the space around it.
pub(crate) fn picture_name(name: &str) -> Result<&str, Refusal> {
    let name = name.trim();
    if has_length(name, 0, MAX_PICTURE_NAME) && !name.chars().any(char::is_control) {
        Ok(name)
    } else {
        Err(Refusal::PictureName)
    }
}

/// The size of a picture.
pub(crate) fn picture_size(size: u64) -> Result<usize, Refusal> {
    match usize::try_from(size) {
        Ok(size @ 1..=MAX_PICTURE) => Ok(size),
        _ => Err(Refusal::PictureSize),
    }
}

fn line<'a>(what: &'static str, text: &'a str) -> Result<&'a str, Refusal> {
    let text = text.trim();
    if !has_length(text, 1, MAX_NAME) {
        return Err(Refusal::Length(what, MAX_NAME));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::Control(what));
    }
    Ok(text)
}

fn has_length(text: &str, least: usize, most: usize) -> bool {
    // Not all of a long text needs to be counted.
    (least..=most).contains(&text.chars().take(most + 1).count())
}

impl PictureType {
    /// The type of this media type.
    pub(crate) fn parse(name: &str) -> Result<Self, Refusal> {
        match name {
            "image/png" => Ok(Self::Png),
            "image/jpeg" => Ok(Self::Jpeg),
            "image/gif" => Ok(Self::Gif),
            "image/webp" => Ok(Self::WebP),
            "image/avif" => Ok(Self::Avif),
            _ => Err(Refusal::PictureType),
        }
    }

    /// Whether content begins like a picture of this type.
    pub(crate) fn begins(self, content: &[u8]) -> bool {
        match self {
            Self::Png => content.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Jpeg => content.starts_with(b"\xff\xd8\xff"),
            Self::Gif => content.starts_with(b"GIF87a") || content.starts_with(b"GIF89a"),
            Self::WebP => content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP"),
            Self::Avif => is_avif(content),
        }
    }
}

/// Whether content begins with a box of file types (ISO 14496-12 §4.3) that has one of AVIF.
fn is_avif(content: &[u8]) -> bool {
    let Some((head, _)) = content.split_first_chunk::<8>() else {
        return false;
    };
    let [a, b, c, d, name @ ..] = *head;
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let brands = content.get(8..len.min(content.len())).unwrap_or_default();
    name == *b"ftyp"
        && brands
            .chunks(4)
            .any(|brand| brand == b"avif" || brand == b"avis")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_counted_in_characters() {
        assert_eq!(person_name("  Ann \t"), Ok("Ann"));
        assert_eq!(
            room_name("𝒳".repeat(32).as_str()),
            Ok("𝒳".repeat(32).as_str())
        );
        assert!(room_name(&"x".repeat(33)).is_err());
        assert_eq!(person_name(" \n "), Err(Refusal::Length("Your name", 32)));
        assert_eq!(person_name("a\nb"), Err(Refusal::Control("Your name")));
        assert_eq!(person_name("a\u{85}b"), Err(Refusal::Control("Your name")));
    }

    #[test]
    fn texts_may_have_lines_and_tabs_only() {
        assert_eq!(message_text(" a\n\tb\n"), Ok("a\n\tb"));
        assert!(message_text("a\rb").is_err());
        assert!(message_text("\0").is_err());
        assert!(message_text(&"ä".repeat(2000)).is_ok());
        assert!(message_text(&"ä".repeat(2001)).is_err());
        assert!(message_text("").is_err());
    }

    #[test]
    fn pictures_are_named_and_sized_within_bounds() {
        assert_eq!(picture_name(""), Ok(""));
        assert!(picture_name(&"x".repeat(101)).is_err());
        assert_eq!(picture_size(5_242_880), Ok(5_242_880));
        assert!(picture_size(0).is_err() && picture_size(5_242_881).is_err());
        assert!(PictureType::parse("image/svg+xml").is_err());
    }

    #[test]
    fn content_must_begin_like_its_type() {
        let avif = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf";
        let samples: [(&str, &[u8]); 5] = [
            ("image/png", b"\x89PNG\r\n\x1a\n\0"),
            ("image/jpeg", b"\xff\xd8\xff\xe0"),
            ("image/gif", b"GIF89a"),
            ("image/webp", b"RIFF\0\0\0\0WEBPVP8 "),
            ("image/avif", avif),
        ];
        for (name, _) in samples {
            let kind = PictureType::parse(name).unwrap();
            for (other, content) in samples {
                assert_eq!(kind.begins(content), name == other, "{name}, {other}");
            }
            assert!(!kind.begins(b""));
        }
        // A brand behind the box is not one of the box.
        assert!(!is_avif(b"\0\0\0\x10ftypmif1\0\0\0\0avif"));
        assert!(!is_avif(b"\0\0\0\x02ftypavif"));
    }
}
