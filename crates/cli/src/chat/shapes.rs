//! The JSON that page and server exchange, as `assets/PROTOCOL.md` has it.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use super::rules::{PictureType, Refusal};

#[derive(Deserialize)]
pub(super) struct Join {
    pub(super) name: String,
    pub(super) room: String,
}

#[derive(Deserialize)]
pub(super) struct UploadStart {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) size: u64,
}

/// What one visit to the chat is called there.
///
/// This is not the socket's id, although that would do for everything else: for clients of
/// Socket.IO 2 and older a socket's id is the session's, and whoever knows that can speak as them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PersonId(pub(super) u64);

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Person {
    pub(super) id: PersonId,
    pub(super) name: String,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Room {
    pub(super) name: String,
    pub(super) people: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Picture {
    pub(super) id: u64,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: PictureType,
    pub(super) size: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Message {
    pub(super) id: u64,
    pub(super) time: u64,
    pub(super) room: String,
    pub(super) from: Person,
    #[serde(flatten)]
    pub(super) body: Body,
}

/// One of the two fields `text` and `picture`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Body {
    Text(String),
    Picture(Picture),
}

#[derive(Serialize)]
pub(super) struct Joined {
    pub(super) boot: String,
    pub(super) id: PersonId,
    pub(super) room: String,
    pub(super) name: String,
    pub(super) people: Vec<Person>,
    pub(super) rooms: Vec<Room>,
    pub(super) messages: VecDeque<Message>,
}

#[derive(Serialize)]
pub(super) struct Accepted {
    pub(super) id: u64,
}

#[derive(Serialize)]
pub(super) struct Started {
    pub(super) upload: u64,
}

#[derive(Serialize)]
pub(super) struct Received {
    pub(super) received: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Content {
    #[serde(rename = "type")]
    pub(super) kind: PictureType,
    pub(super) data: Bytes,
}

#[derive(Serialize)]
pub(super) struct Typing<'a> {
    #[serde(flatten)]
    pub(super) person: &'a Person,
    pub(super) typing: bool,
}

/// What an event is acknowledged with: what was asked for, or a sentence for people.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Answer<T> {
    Done(T),
    Refused { error: String },
}

impl Serialize for PersonId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<T> From<Result<T, Refusal>> for Answer<T> {
    fn from(result: Result<T, Refusal>) -> Self {
        match result {
            Ok(value) => Self::Done(value),
            Err(refusal) => Self::Refused {
                error: refusal.to_string(),
            },
        }
    }
}
