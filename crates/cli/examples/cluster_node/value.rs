//! Values of any kind, with bytes among them.

use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use sockeye::{Args, Bytes};

/// What JavaScript can send. `serde_json::Value` has no bytes.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// What has no parts.
    Scalar(Json),
    Bytes(Bytes),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Value {
    /// The arguments of an event or of an answer.
    pub(crate) fn list(args: &Args) -> Result<Vec<Self>, serde_json::Error> {
        // What has come as JSON, as requests between servers do, may have bytes in the form of Node's Buffer.
        let read = |json| Ok(Self::new(sockeye::from_json(json)?, args.attachments()));
        args.iter().map(read).collect()
    }

    /// The first argument of an answer, or null if it has none.
    pub(crate) fn first(args: &Args) -> Result<Self, serde_json::Error> {
        let list = Self::list(&args.first())?;
        Ok(list.into_iter().next().unwrap_or(Self::Scalar(Json::Null)))
    }

    fn new(json: Json, attachments: &[Bytes]) -> Self {
        match json {
            Json::Array(items) => {
                let items = items.into_iter().map(|item| Self::new(item, attachments));
                Self::List(items.collect())
            }
            Json::Object(map) => {
                if map.get("_placeholder") == Some(&Json::Bool(true))
                    && let Some(number) = map.get("num").and_then(Json::as_u64)
                    && let Some(bytes) =
                        attachments.get(usize::try_from(number).unwrap_or(usize::MAX))
                {
                    return Self::Bytes(bytes.clone());
                }
                if let (2, Some(Json::String(kind)), Some(Json::Array(numbers))) =
                    (map.len(), map.get("type"), map.get("data"))
                    && kind == "Buffer"
                {
                    let bytes = numbers
                        .iter()
                        .map(|number| number.as_u64()?.try_into().ok());
                    if let Some(bytes) = bytes.collect::<Option<Vec<u8>>>() {
                        return Self::Bytes(bytes.into());
                    }
                }
                let items = map.into_iter();
                Self::Map(
                    items
                        .map(|(key, item)| (key, Self::new(item, attachments)))
                        .collect(),
                )
            }
            scalar => Self::Scalar(scalar),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Scalar(text.into())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(json) => json.serialize(serializer),
            Self::Bytes(bytes) => bytes.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Map(items) => serializer.collect_map(items.iter().map(|(key, item)| (key, item))),
        }
    }
}
