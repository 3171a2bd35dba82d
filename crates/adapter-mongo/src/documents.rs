//! Documents of the driver, and the fields of which messages are made.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::raw::{
    CStr, CString, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf, cstr,
};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime};
use sockeye_cluster_proto::mongo::{self, Field};
use sockeye_cluster_proto::{DecodeError, EncodeError, Envelope, Limits, Message, NodeId};
use thiserror::Error;

/// Why something is no document, or no message.
#[derive(Debug, Error)]
pub(crate) enum DocumentError {
    #[error("a key has a zero byte in it")]
    Key,
    #[error("{0} bytes are more than MongoDB takes")]
    Large(usize),
    #[error("values are too deep inside each other")]
    Deep,
    #[error("it is no document of BSON")]
    Bson(#[from] mongodb::bson::error::Error),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// MongoDB takes 16 MiB. What tells of a new document has all of it and some bytes more, and the same limit: beyond that it
/// would end the reading of everybody.
const MAX_BYTES: usize = (16 << 20) - (16 << 10);

/// MongoDB itself takes no more than 100 inside each other, and some more of what it makes itself.
const MAX_DEPTH: usize = 120;

/// The document of a message from a server, or from an emitter.
pub(crate) fn document(
    id: ObjectId,
    (uid, namespace): (&NodeId, &str),
    message: &Message,
    further: &[(&CStr, DateTime)],
) -> Result<RawDocumentBuf, DocumentError> {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), id);
    append(&mut document, mongo::encode(uid, namespace, message)?)?;
    for (key, time) in further {
        document.append(key, *time);
    }
    match document.as_bytes().len() {
        len if len > MAX_BYTES => Err(DocumentError::Large(len)),
        _ => Ok(document),
    }
}

fn append(
    document: &mut RawDocumentBuf,
    fields: Vec<(String, Field)>,
) -> Result<(), DocumentError> {
    for (key, field) in fields {
        let key = CString::try_from(key).map_err(|_| DocumentError::Key)?;
        document.append(key, written(field)?);
    }
    Ok(())
}

fn written(field: Field) -> Result<RawBson, DocumentError> {
    Ok(match field {
        Field::Null => RawBson::Null,
        Field::Bool(value) => value.into(),
        Field::Int(number) => whole(number),
        Field::Double(number) => number.into(),
        Field::Text(text) => text.into(),
        Field::Bytes(bytes) => {
            let subtype = BinarySubtype::Generic;
            RawBson::Binary(Binary { subtype, bytes })
        }
        Field::Date(millis) => DateTime::from_millis(millis).into(),
        Field::List(items) => {
            let mut list = RawArrayBuf::new();
            for item in items {
                list.push(written(item)?);
            }
            list.into()
        }
        Field::Map(fields) => {
            let mut inner = RawDocumentBuf::new();
            append(&mut inner, fields)?;
            inner.into()
        }
    })
}

/// As Node's driver writes it, for which all numbers have 53 bits: what has more is nothing to Node in any form, and stays
/// what it is for other servers.
fn whole(number: i64) -> RawBson {
    const MAX_SAFE: u64 = (1 << 53) - 1;
    match i32::try_from(number) {
        Ok(number) => number.into(),
        #[expect(clippy::cast_precision_loss, reason = "it is exact")]
        Err(_) if number.unsigned_abs() <= MAX_SAFE => (number as f64).into(),
        Err(_) => number.into(),
    }
}

/// What a message says of itself before it is read.
pub(crate) struct Head<'d> {
    /// `None` if it is not one that any of the servers gives.
    pub(crate) id: Option<ObjectId>,
    pub(crate) namespace: &'d str,
    pub(crate) uid: &'d str,
}

impl<'d> Head<'d> {
    /// `None` if the document is no message.
    pub(crate) fn of(document: &'d RawDocument) -> Option<Self> {
        Some(Self {
            id: document.get_object_id("_id").ok(),
            namespace: document.get_str("nsp").ok()?,
            uid: document.get_str("uid").ok()?,
        })
    }
}

/// The message that a document is.
pub(crate) fn message(document: &RawDocument, limits: &Limits) -> Result<Envelope, DocumentError> {
    Ok(mongo::decode(&fields(document)?, limits)?)
}

/// What is in a document, of what messages have.
fn fields(document: &RawDocument) -> Result<Vec<(String, Field)>, DocumentError> {
    let mut fields = Vec::new();
    for element in document {
        let (key, value) = element?;
        if matches!(key.as_str(), "type" | "data" | "uid" | "nsp") {
            fields.push((key.to_string(), read(value, 0)?));
        }
    }
    Ok(fields)
}

fn read(value: RawBsonRef<'_>, depth: usize) -> Result<Field, DocumentError> {
    if depth > MAX_DEPTH {
        return Err(DocumentError::Deep);
    }
    Ok(match value {
        RawBsonRef::Double(number) => Field::Double(number),
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) | RawBsonRef::JavaScriptCode(text) => {
            Field::Text(text.to_owned())
        }
        RawBsonRef::Boolean(value) => Field::Bool(value),
        RawBsonRef::Int32(number) => Field::Int(number.into()),
        RawBsonRef::Int64(number) => Field::Int(number),
        RawBsonRef::Binary(binary) => Field::Bytes(binary.bytes.to_vec()),
        RawBsonRef::DateTime(time) => Field::Date(time.timestamp_millis()),
        // As text, which is what they are in JSON.
        RawBsonRef::ObjectId(id) => Field::Text(id.to_hex()),
        RawBsonRef::Decimal128(number) => Field::Text(number.to_string()),
        RawBsonRef::Array(items) => {
            let items = items.into_iter();
            let items = items.map(|item| read(item?, depth + 1));
            Field::List(items.collect::<Result<_, _>>()?)
        }
        RawBsonRef::Document(fields) => {
            let fields = fields.into_iter().map(|element| {
                let (key, value) = element?;
                Ok::<_, DocumentError>((key.to_string(), read(value, depth + 1)?))
            });
            Field::Map(fields.collect::<Result<_, _>>()?)
        }
        // No server of a cluster writes these.
        _ => Field::Null,
    })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, Document, doc};

    use super::*;

    fn raw(document: &Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).unwrap()
    }

    fn data(value: impl Into<Bson>) -> Result<Field, DocumentError> {
        let document = raw(&doc! { "type": 3, "data": value.into() });
        Ok(fields(&document)?.remove(1).1)
    }

    #[test]
    fn fields_come_back_as_they_were() {
        let all = Field::Map(vec![
            ("z".to_owned(), Field::Null),
            ("a".to_owned(), Field::Bool(true)),
            (
                "list".to_owned(),
                Field::List(vec![Field::Int(-1), Field::Double(0.5)]),
            ),
            (String::new(), Field::Text("né".to_owned())),
            ("bytes".to_owned(), Field::Bytes(vec![0, 255])),
            ("time".to_owned(), Field::Date(-1)),
            ("long".to_owned(), Field::Int(i64::MIN)),
        ]);
        let mut document = RawDocumentBuf::new();
        append(&mut document, vec![("data".to_owned(), all.clone())]).unwrap();
        assert_eq!(fields(&document).unwrap(), [("data".to_owned(), all)]);
    }

    #[test]
    fn whole_numbers_have_the_types_that_nodes_driver_gives_them() {
        assert_eq!(whole(i64::from(i32::MAX)), RawBson::Int32(i32::MAX));
        assert_eq!(
            whole(i64::from(i32::MIN) - 1),
            RawBson::Double(-2_147_483_649.0)
        );
        assert_eq!(whole(1 << 53), RawBson::Int64(1 << 53));
    }

    #[test]
    fn types_that_json_has_not_are_read() {
        let id = ObjectId::from_bytes([0xab; 12]);
        assert_eq!(data(id).unwrap(), Field::Text("ab".repeat(12)));
        assert_eq!(data(Bson::Undefined).unwrap(), Field::Null);
        assert_eq!(data(Bson::MaxKey).unwrap(), Field::Null);
        assert_eq!(data(7_i64).unwrap(), Field::Int(7));
    }

    #[test]
    fn what_else_is_in_a_document_is_not_looked_at() {
        let document = raw(&doc! { "_id": 1, "nsp": "/", "createdAt": DateTime::now(), "x": {} });
        let nsp = Field::Text("/".to_owned());
        assert_eq!(fields(&document).unwrap(), [("nsp".to_owned(), nsp)]);
    }

    #[test]
    fn hostile_documents_are_refused() {
        let mut deep = Bson::Null;
        for _ in 0..=MAX_DEPTH + 1 {
            deep = Bson::Array(vec![deep]);
        }
        assert!(matches!(data(deep), Err(DocumentError::Deep)));
        let mut broken = raw(&doc! { "data": "text" }).into_bytes();
        let at = broken.len() - 7;
        broken[at] = 0xff;
        if let Ok(document) = RawDocumentBuf::from_bytes(broken) {
            assert!(fields(&document).is_err());
        }
        let key = vec![("a\0b".to_owned(), Field::Null)];
        let inner = vec![("data".to_owned(), Field::Map(key))];
        let refused = append(&mut RawDocumentBuf::new(), inner);
        assert!(matches!(refused, Err(DocumentError::Key)));
    }

    #[test]
    fn documents_that_nobody_could_follow_are_not_made() {
        let event = |len: usize| {
            let args = sockeye_cluster_proto::Value::new(&"x".repeat(len)).unwrap();
            let request = sockeye_cluster_proto::RequestId::new("a");
            let answer = Some(args);
            let message = Message::BroadcastAck { request, answer };
            document(ObjectId::new(), (&NodeId::new("a"), "/"), &message, &[])
        };
        assert!(event(MAX_BYTES - 1000).is_ok());
        assert!(matches!(event(MAX_BYTES), Err(DocumentError::Large(_))));
    }
}
