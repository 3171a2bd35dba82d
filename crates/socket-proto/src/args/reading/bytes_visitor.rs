//! The visitor that turns what stands for bytes into bytes.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

use super::{How, Reading};
use crate::args::BytesForm;

/// Takes the place of a visitor that wants bytes. An object in the form that bytes have here gives it those bytes;
/// strings and lists of numbers reach it as they would without.
pub(super) struct BytesVisitor<'t, 'de, V> {
    visitor: V,
    how: &'t How<'t, 'de>,
}

impl<'t, 'de, V> BytesVisitor<'t, 'de, V> {
    pub(super) const fn new(visitor: V, how: &'t How<'t, 'de>) -> Self {
        Self { visitor, how }
    }
}

impl<'t, 'de, V: Visitor<'de>> Visitor<'t> for BytesVisitor<'t, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'t>>(self, map: A) -> Result<V::Value, A::Error> {
        match self.how.form {
            BytesForm::Attachments(attachments) => {
                let attachment = read_placeholder(map, attachments, &self.visitor)?;
                self.visitor.visit_borrowed_bytes(attachment)
            }
            BytesForm::Buffers => {
                let bytes = read_buffer(map, &self.visitor)?;
                self.visitor.visit_byte_buf(bytes)
            }
        }
    }

    fn visit_borrowed_str<E: Error>(self, value: &'t str) -> Result<V::Value, E> {
        match self.how.original_of(value.as_bytes()) {
            Some(value) => self.visitor.visit_borrowed_bytes(value.as_bytes()),
            None => self.visitor.visit_bytes(value.as_bytes()),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.visitor.visit_bytes(value.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Reading::new(seq, self.how))
    }
}

/// The attachment that the placeholder in `map` stands for.
fn read_placeholder<'t, 'de, V: Visitor<'de>, A: MapAccess<'t>>(
    mut map: A,
    attachments: &'de [Bytes],
    visitor: &V,
) -> Result<&'de Bytes, A::Error> {
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
        return Err(Error::invalid_type(Unexpected::Map, visitor));
    };
    usize::try_from(num)
        .ok()
        .and_then(|num| attachments.get(num))
        .ok_or_else(|| {
            Error::custom(format_args!(
                "attachment {num} does not exist, the packet has {}",
                attachments.len()
            ))
        })
}

/// The bytes in `map`, which must be what Node makes of a Buffer.
fn read_buffer<'t, 'de, V: Visitor<'de>, A: MapAccess<'t>>(
    mut map: A,
    visitor: &V,
) -> Result<Vec<u8>, A::Error> {
    #[derive(Deserialize)]
    #[serde(field_identifier, rename_all = "lowercase")]
    enum Key {
        Type,
        Data,
        #[serde(other)]
        Other,
    }
    // An enum, so that any other type is refused with the name of the one expected.
    #[derive(Deserialize)]
    enum Type {
        Buffer,
    }

    let mut marked = false;
    let mut data: Option<Vec<u8>> = None;
    while let Some(key) = map.next_key()? {
        match key {
            Key::Type => {
                let Type::Buffer = map.next_value()?;
                marked = true;
            }
            Key::Data => data = Some(map.next_value()?),
            Key::Other => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    data.filter(|_| marked)
        .ok_or_else(|| Error::invalid_type(Unexpected::Map, visitor))
}
