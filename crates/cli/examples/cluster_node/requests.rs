//! What clients ask a node for, and what it answers.

use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sockeye::{Args, BroadcastOperator, RawArgs, RemoteSocket, Socket, Value as Json};

use crate::value::Value;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// A request whose argument is an object: whom it is for, and what.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) operator: BroadcastOperator,
    pub(crate) fields: Fields,
    /// The arguments of the event that is to be emitted, as they came.
    pub(crate) args: Args,
}

/// The rest of such an object.
#[derive(Debug, Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    broadcast: bool,
    #[serde(default)]
    local: bool,
    #[serde(default)]
    volatile: bool,
    timeout: Option<u64>,
    #[serde(default)]
    pub(crate) event: String,
    #[serde(default)]
    pub(crate) rooms: Vec<String>,
    #[serde(default)]
    pub(crate) close: bool,
    #[serde(default)]
    pub(crate) id: String,
}

#[derive(Deserialize)]
struct Emitted<'a> {
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

impl Request {
    pub(crate) fn new(socket: &Socket, request: &Args) -> Result<Self, Failure> {
        let json = request.get(0).ok_or("an object is missing")?;
        let fields: Fields = sockeye::from_json(json)?;
        let emitted: Emitted<'_> = sockeye::from_json(json)?;
        let args = emitted.args.map(|args| items(args.get(), request));
        let args = args.transpose()?.unwrap_or_else(Args::empty);
        let mut operator = match fields.broadcast {
            true => socket.broadcast(),
            false => socket.namespace().all(),
        };
        operator = operator.to(&fields.to).except(&fields.except);
        if fields.local {
            operator = operator.local();
        }
        if fields.volatile {
            operator = operator.volatile();
        }
        Ok(Self {
            operator,
            fields,
            args,
        })
    }

    /// How long answers are waited for.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.fields.timeout.unwrap_or(2000))
    }
}

/// The arguments in the list that is a request's first argument.
pub(crate) fn list(request: &Args) -> Result<Args, Failure> {
    items(request.get(0).ok_or("a list is missing")?, request)
}

/// Bytes keep their numbers, which are those of the request's packet.
fn items(list: &str, request: &Args) -> Result<Args, Failure> {
    let args = RawArgs::from_array(list)?;
    Ok(args.with_attachments(request.attachments()).to_args())
}

/// Several answers, and what is wrong with them.
#[derive(Debug, Serialize)]
pub(crate) struct Answers {
    pub(crate) error: Option<String>,
    pub(crate) answers: Vec<Value>,
}

/// One answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) error: Option<String>,
    pub(crate) answer: Option<Value>,
}

/// Sockets that were fetched: a list, if all servers have answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Fetched {
    All(Vec<Found>),
    Some { error: String, answers: Vec<Found> },
}

impl Fetched {
    pub(crate) fn new(error: Option<String>, answers: Vec<Found>) -> Self {
        match error {
            None => Self::All(answers),
            Some(error) => Self::Some { error, answers },
        }
    }
}

/// A socket that was fetched.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    id: String,
    rooms: Vec<String>,
    data: Json,
    auth: Json,
}

impl Found {
    pub(crate) fn new(socket: &RemoteSocket) -> Self {
        let mut rooms = socket.rooms().to_vec();
        rooms.sort_unstable();
        Self {
            id: socket.id().to_owned(),
            rooms,
            data: socket.data().clone(),
            auth: socket.handshake().auth.clone(),
        }
    }
}
