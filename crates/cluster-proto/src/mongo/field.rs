use sockeye_socket_proto::parser::msgpack::{Head, Reader, write};

use crate::DecodeError;

/// What is in a field of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number. Node's driver writes one of 32 bits if it fits into that, and a floating-point one if it does not.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// A text.
    Text(String),
    /// Bytes, of the general kind.
    Bytes(Vec<u8>),
    /// A point in time, in milliseconds since 1970.
    Date(i64),
    /// A list.
    List(Vec<Self>),
    /// A document inside of the document, in its order.
    Map(Vec<(String, Self)>),
}

/// MongoDB stores no more than 100 documents inside each other.
const MAX_DEPTH: usize = 100;

/// The number of the extension that is a point in time.
const TIMESTAMP: i8 = -1;

impl Field {
    /// Makes fields of a message that we have written, or whose values we have received.
    pub(super) fn unpack(packed: &[u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(packed), 0)
    }

    fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Self, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Expected(
                "no more than 100 values inside each other",
            ));
        }
        Ok(match reader.head()? {
            Head::Nil => Self::Null,
            Head::Bool(value) => Self::Bool(value),
            Head::Unsigned(number) => match i64::try_from(number) {
                Ok(number) => Self::Int(number),
                #[expect(clippy::cast_precision_loss, reason = "there is no larger number")]
                Err(_) => Self::Double(number as f64),
            },
            Head::Signed(number) => Self::Int(number),
            Head::Float(number) => Self::Double(number),
            Head::Text(len) => Self::Text(String::from_utf8_lossy(reader.take(len)?).into()),
            Head::Bytes(len) => Self::Bytes(reader.take(len)?.into()),
            Head::Extension { kind, len, .. } => {
                let data = reader.take(len)?;
                match (kind, millis(data)) {
                    (TIMESTAMP, Some(millis)) => Self::Date(millis),
                    _ => Self::Bytes(data.into()),
                }
            }
            Head::Array(items) => {
                let items = (0..items).map(|_| Self::read(reader, depth + 1));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Head::Map(pairs) => {
                let pairs = (0..pairs).map(|_| {
                    let key = match reader.head()? {
                        Head::Text(len) => String::from_utf8_lossy(reader.take(len)?).into(),
                        _ => return Err(DecodeError::Expected("a key")),
                    };
                    Ok((key, Self::read(reader, depth + 1)?))
                });
                Self::Map(pairs.collect::<Result<_, _>>()?)
            }
        })
    }

    pub(super) fn pack_map<'f>(
        fields: impl Iterator<Item = &'f (String, Self)> + Clone,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        pack_map(fields, out, 0)
    }

    fn pack(&self, out: &mut Vec<u8>, depth: usize) -> Result<(), DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError::Expected(
                "no more than 100 values inside each other",
            ));
        }
        match self {
            Self::Null => write::nil(out),
            Self::Bool(value) => write::bool(out, *value),
            Self::Int(number) => write::signed(out, *number),
            Self::Double(number) => write::float(out, *number),
            Self::Text(text) => write::text(out, text)?,
            Self::Bytes(bytes) => write::bytes(out, bytes)?,
            Self::Date(millis) => pack_date(*millis, out),
            Self::List(items) => {
                write::array(out, items.len())?;
                for item in items {
                    item.pack(out, depth + 1)?;
                }
            }
            Self::Map(fields) => pack_map(fields.iter(), out, depth)?,
        }
        Ok(())
    }
}

fn pack_map<'f>(
    fields: impl Iterator<Item = &'f (String, Field)> + Clone,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), DecodeError> {
    write::map(out, fields.clone().count())?;
    for (name, value) in fields {
        write::text(out, name)?;
        value.pack(out, depth + 1)?;
    }
    Ok(())
}

/// The only form of a timestamp that all points in time fit into: nanoseconds, then seconds.
fn pack_date(millis: i64, out: &mut Vec<u8>) {
    let nanos = u32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or_default();
    out.extend([0xc7, 12, TIMESTAMP.to_be_bytes()[0]]);
    out.extend(nanos.to_be_bytes());
    out.extend(millis.div_euclid(1000).to_be_bytes());
}

/// The milliseconds since 1970 of a timestamp.
fn millis(data: &[u8]) -> Option<i64> {
    let (seconds, nanos) = match *data {
        [a, b, c, d] => (u32::from_be_bytes([a, b, c, d]).into(), 0),
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            let seconds = i64::try_from(both & 0x3_ffff_ffff).ok()?;
            (seconds, u32::try_from(both >> 34).ok()?)
        }
        [a, b, c, d, ref seconds @ ..] => {
            let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
            (seconds, u32::from_be_bytes([a, b, c, d]))
        }
        _ => return None,
    };
    seconds
        .checked_mul(1000)?
        .checked_add(i64::from(nanos / 1_000_000))
}
