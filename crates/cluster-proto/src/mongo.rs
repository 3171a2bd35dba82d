//! The documents of Node's adapter for MongoDB, each of which is one message.
//!
//! A document is a [`Field`] here, which has what the driver's own values have. The numbers are those of
//! [cluster messages](crate::cluster), but for the last one: a session, where the others have a node that goes. That has a
//! number here which Node's servers do not know: they find out by its silence.

mod field;

use bytes::Bytes;

use crate::cluster::{self, Thirteen};
use crate::sink::MessagePackSink;
use crate::source::MessagePackSource;
use crate::{DecodeError, EncodeError, Envelope, Limits, Message, NodeId};

pub use field::Field;

/// Writes a message as the fields of a document, without its id.
///
/// # Errors
///
/// When the event or answer cannot be encoded, or the dialect has no word for the message.
pub fn encode(
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<Vec<(String, Field)>, EncodeError> {
    let mut packed = Vec::new();
    let sink = &mut MessagePackSink::new(&mut packed);
    cluster::write(sink, Thirteen::Session, from, namespace, message)?;
    match Field::unpack(&packed).map_err(EncodeError::Received)? {
        Field::Map(fields) => Ok(fields),
        _ => unreachable!("a message is a map"),
    }
}

/// Reads a document. What else is in it, such as its id and when it was made, is not looked at.
///
/// # Errors
///
/// When it is no message, or is beyond the limits.
pub fn decode(fields: &[(String, Field)], limits: &Limits) -> Result<Envelope, DecodeError> {
    let mut packed = Vec::new();
    let known = |(name, _): &&(String, Field)| matches!(&**name, "type" | "data" | "uid" | "nsp");
    Field::pack_map(fields.iter().filter(known), &mut packed)?;
    limits.check_len(&packed)?;
    let packed = Bytes::from(packed);
    cluster::read(MessagePackSource::new(&packed), Thirteen::Session, limits)
}

#[cfg(test)]
mod tests;
