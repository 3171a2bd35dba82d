//! The visitor that turns a placeholder into the attachment it stands for.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

/// Takes the place of a visitor that wants bytes. A placeholder gives it an attachment; strings and lists of numbers
/// reach it as they would without attachments.
pub(super) struct BytesVisitor<'de, V> {
    visitor: V,
    attachments: &'de [Bytes],
}

impl<'de, V> BytesVisitor<'de, V> {
    pub(super) fn new(visitor: V, attachments: &'de [Bytes]) -> Self {
        Self {
            visitor,
            attachments,
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for BytesVisitor<'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<V::Value, A::Error> {
        let mut marked = false;
        let mut num: Option<u64> = None;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Placeholder => marked = map.next_value()?,
                Key::Num => num = Some(map.next_value()?),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let Some(num) = num.filter(|_| marked) else {
            return Err(Error::invalid_type(Unexpected::Map, &self.visitor));
        };
        let attachment = usize::try_from(num)
            .ok()
            .and_then(|num| self.attachments.get(num))
            .ok_or_else(|| {
                Error::custom(format_args!(
                    "attachment {num} does not exist, the packet has {}",
                    self.attachments.len()
                ))
            })?;
        self.visitor.visit_borrowed_bytes(attachment)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.visitor.visit_borrowed_bytes(value.as_bytes())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.visitor.visit_bytes(value.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(seq)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Key {
    #[serde(rename = "_placeholder")]
    Placeholder,
    #[serde(rename = "num")]
    Num,
    #[serde(other)]
    Other,
}
