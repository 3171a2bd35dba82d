//! The demo chat: rooms, who is here, who types, history, pictures.
//!
//! What page and server say to each other is written down in `assets/PROTOCOL.md`. `Chat` is
//! all that the server knows, as plain data that has never heard of sockets; this module ties it
//! to events. People get ids of the chat's own, as those of sockets are not for everybody to know.
//! It is meant to be read as an example of how to use the library, too.
//!
//! [`open`] ties the chat to a server, and [`pages`] are the files that a browser needs; the `sockeye`
//! command serves both.
//!
//! ```no_run
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let io = sockeye::Server::new();
//! sockeye_chat::open(&io);
//! io.listen("http://localhost:3000").await?.closed().await;
//! # Ok(())
//! # }
//! ```

#![expect(
    clippy::needless_pass_by_value,
    reason = "the parameters of a handler are made for it"
)]

mod pages;
mod pictures;
mod rules;
mod shapes;
mod state;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use sockeye::{
    Ack, Args, BroadcastOperator, Bytes, Data, ExtractError, Reply, Server, Socket, State,
};
use tokio::sync::Notify;

pub use pages::{CONTENT_SECURITY_POLICY, pages};
use rules::Refusal;
use shapes::{Accepted, Answer, Join, Joined, Message, Received, Started, Typing, UploadStart};
use state::{Change, Chat};

/// The chat, as the handlers share it.
///
/// What a change means to others is emitted before the lock is released. So everybody hears of
/// changes in the order in which they happened, and nobody who comes in between misses one. It
/// is held for a short time only, because `emit` never waits.
struct Shared {
    chat: Mutex<Chat>,
    /// Told when the list of rooms is not what was last sent.
    rooms_changed: Notify,
}

/// The arguments of an event. Handlers that take them like this are called even if they are
/// wrong, and refuse in the chat's own words.
type Sent<T> = Result<Data<T>, ExtractError>;

/// The room of the library in which everybody is who has joined a room of the chat.
const JOINED: &str = "joined";

/// At most this often the list of rooms goes to everybody: it is long, and whoever runs from
/// room to room changes it all the time.
const ROOMS_PAUSE: Duration = Duration::from_millis(100);

/// Opens the chat on a server, in its namespace `/`.
///
/// # Panics
///
/// Outside of a tokio runtime, as a task of its own tells of changes to the list of rooms.
pub fn open(io: &Server) {
    let shared = Arc::new(Shared {
        chat: Mutex::new(Chat::new(boot_id())),
        rooms_changed: Notify::new(),
    });
    io.state(Arc::clone(&shared));
    // Anybody can send nonsense; the log is not theirs to fill.
    io.on_error(|socket, error| {
        tracing::debug!(?socket, error = %format_args!("{error:#}"), "event failed");
    })
    .on("join", join)
    .on("message", message)
    .on("typing", typing)
    .on("upload-start", upload_start)
    .on("upload-chunk", upload_chunk)
    .on("picture", picture)
    // No part of the chat: for trying a client, and for `sockeye bench`.
    .on("echo", |args: Args| args)
    .on_disconnect(leave);
    tokio::spawn(tell_rooms(io.clone(), shared));
}

/// Enters a room. The answer is sent by hand rather than returned, so that it is on its way
/// before the lock is released: a list of people that is newer must not overtake it.
fn join(
    socket: Socket,
    State(shared): State<Arc<Shared>>,
    sent: Sent<Join>,
    ack: Ack<Answer<Joined>>,
) -> Result<(), sockeye::EmitError> {
    let mut chat = shared.chat.lock();
    let change =
        argument(sent).and_then(|Join { name, room }| chat.join(socket.id(), &name, &room));
    let welcome = change.and_then(|change| {
        let welcome = chat.welcome(socket.id())?;
        if let Change::Moved { left } = &change {
            if let Some(left) = left {
                socket.leave(channel(left));
                tell_people(&socket, &chat, left);
            }
            socket.join(channel(&welcome.room));
            socket.join(JOINED);
            shared.rooms_changed.notify_one();
        }
        if change != Change::Nothing {
            tell_people(&socket, &chat, &welcome.room);
        }
        Ok(welcome)
    });
    ack.send(Answer::from(welcome))
}

/// Says something to the room.
fn message(
    socket: Socket,
    State(shared): State<Arc<Shared>>,
    sent: Sent<String>,
) -> Reply<Answer<Accepted>> {
    let mut chat = shared.chat.lock();
    let message = argument(sent).and_then(|text| chat.say(socket.id(), &text, now()));
    answer(message.map(|message| {
        tell_message(&socket, message);
        Accepted { id: message.id }
    }))
}

/// Lets the others see that somebody types.
fn typing(socket: Socket, State(shared): State<Arc<Shared>>, Data(typing): Data<bool>) {
    let chat = shared.chat.lock();
    if let Some((person, room)) = chat.whereabouts(socket.id()) {
        // News of the moment: whoever is not ready for it does without.
        let others = socket.to(channel(room)).volatile();
        tell(&others, "typing", Typing { person, typing });
    }
}

/// Begins a picture.
fn upload_start(
    socket: Socket,
    State(shared): State<Arc<Shared>>,
    sent: Sent<UploadStart>,
) -> Reply<Answer<Started>> {
    let mut chat = shared.chat.lock();
    let upload = argument(sent).and_then(|start| chat.start_upload(socket.id(), &start));
    answer(upload.map(|upload| Started { upload }))
}

/// Adds to a picture. The acknowledgements move the progress bar of the one who sends it.
fn upload_chunk(
    socket: Socket,
    State(shared): State<Arc<Shared>>,
    sent: Sent<(u64, u64, Bytes)>,
) -> Reply<Answer<Received>> {
    let mut chat = shared.chat.lock();
    let progress = match argument(sent) {
        Ok((upload, offset, data)) => chat.add_chunk(socket.id(), upload, offset, &data, now()),
        Err(refusal) => {
            chat.drop_upload(socket.id());
            Err(refusal)
        }
    };
    answer(progress.map(|(received, message)| {
        if let Some(message) = message {
            tell_message(&socket, message);
        }
        Received { received }
    }))
}

/// Hands out a picture.
///
/// A page that shows a history asks for many at once. Each waits until the connection has room
/// for it, so that they leave one after the other, as fast as the browser takes them.
async fn picture(
    socket: Socket,
    State(shared): State<Arc<Shared>>,
    sent: Sent<u64>,
) -> Result<Reply<Answer<shapes::Content>>, sockeye::EmitError> {
    socket.ready().await?;
    let chat = shared.chat.lock();
    Ok(answer(argument(sent).and_then(|id| chat.picture(id))))
}

/// Forgets who has left.
fn leave(socket: Socket, State(shared): State<Arc<Shared>>) {
    let mut chat = shared.chat.lock();
    if let Some(room) = chat.leave(socket.id()) {
        tell_people(&socket, &chat, &room);
        shared.rooms_changed.notify_one();
    }
}

/// Sends everybody the list of rooms when it has changed.
async fn tell_rooms(io: Server, shared: Arc<Shared>) {
    loop {
        shared.rooms_changed.notified().await;
        {
            let chat = shared.chat.lock();
            tell(&io.to(JOINED), "rooms", chat.rooms());
        }
        tokio::time::sleep(ROOMS_PAUSE).await;
    }
}

/// Sends the others in a room the list of who is there.
fn tell_people(socket: &Socket, chat: &Chat, room: &str) {
    tell(&socket.to(channel(room)), "people", chat.people(room));
}

/// Sends a message to its room, whoever wrote it included.
fn tell_message(socket: &Socket, message: &Message) {
    let room = socket.namespace().to(channel(&message.room));
    tell(&room, "message", message);
}

fn tell(to: &BroadcastOperator, event: &str, args: impl sockeye::ToArgs) {
    if let Err(error) = to.emit(event, args) {
        // Only for what cannot be encoded, and all of this can.
        tracing::error!(%error, event, "not emitted");
    }
}

/// The library's room for a room of the chat. Every socket is alone in a room of the library
/// that has its id for a name, so names that people choose must be kept apart from those.
fn channel(room: &str) -> String {
    format!("room {room}")
}

/// The arguments, or why they cannot be taken.
fn argument<T>(sent: Sent<T>) -> Result<T, Refusal> {
    match sent {
        Ok(Data(value)) => Ok(value),
        Err(error) => Err(Refusal::Arguments(error.to_string())),
    }
}

/// The one argument with which an event is acknowledged.
fn answer<T>(result: Result<T, Refusal>) -> Reply<Answer<T>> {
    Reply(Answer::from(result))
}

/// Tells this run of the server from earlier ones. Nobody gains anything by guessing it, so the seed
/// of a hash map is random enough.
fn boot_id() -> String {
    format!("{:016x}", RandomState::new().hash_one(()))
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
