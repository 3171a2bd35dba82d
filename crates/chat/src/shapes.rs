//! The JSON that page and server exchange, as `assets/PROTOCOL.md` has it.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rules::{PictureType, Refusal};

#[derive(Deserialize)]
pub(crate) struct Join {
    pub(crate) name: String,
    pub(crate) room: String,
}

#[derive(Deserialize)]
pub(crate) struct UploadStart {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) size: u64,
}

/// What one visit to the chat is called there.
///
/// This is not the socket's id, although that would do for everything else: for clients of
/// Socket.IO 2 and older a socket's id is the session's, and whoever knows that can speak as them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PersonId(pub(crate) u64);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Person {
    pub(crate) id: PersonId,
    pub(crate) name: String,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) people: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Picture {
    pub(crate) id: u64,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: PictureType,
    pub(crate) size: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) time: u64,
    pub(crate) room: String,
    pub(crate) from: Person,
    #[serde(flatten)]
    pub(crate) body: Body,
}

/// One of the two fields `text` and `picture`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Body {
    Text(String),
    Picture(Picture),
}

#[derive(Serialize)]
pub(crate) struct Joined {
    pub(crate) boot: String,
    pub(crate) id: PersonId,
    pub(crate) room: String,
    pub(crate) name: String,
    pub(crate) people: Vec<Person>,
    pub(crate) rooms: Vec<Room>,
    pub(crate) messages: VecDeque<Message>,
}

#[derive(Serialize)]
pub(crate) struct Accepted {
    pub(crate) id: u64,
}

#[derive(Serialize)]
pub(crate) struct Started {
    pub(crate) upload: u64,
}

#[derive(Serialize)]
pub(crate) struct Received {
    pub(crate) received: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Content {
    #[serde(rename = "type")]
    pub(crate) kind: PictureType,
    pub(crate) data: Bytes,
}

#[derive(Serialize)]
pub(crate) struct Typing<'a> {
    #[serde(flatten)]
    pub(crate) person: &'a Person,
    pub(crate) typing: bool,
}

/// What a server of a cluster tells the others of who is in its chat.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Present {
    /// Its `boot`.
    pub(crate) server: String,
    /// The rooms in which somebody is.
    pub(crate) rooms: Vec<(String, Vec<Person>)>,
}

/// What an event is acknowledged with: what was asked for, or a sentence for people.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer<T> {
    Done(T),
    Refused { error: String },
}

impl Serialize for PersonId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PersonId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        id.parse().map(Self).map_err(Error::custom)
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
