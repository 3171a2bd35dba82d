//! The demo chat: rooms, who is here, who types, history, pictures.
//!
//! What page and server say to each other is written down in `assets/PROTOCOL.md`. `Chat` is
//! all that the server knows, as plain data that has never heard of sockets; this module ties it
//! to events. People get ids of the chat's own, as those of sockets are not for everybody to know.
//! It is meant to be read as an example of how to use the library, too.
//!
//! On several servers of a cluster it is one chat: each keeps who is on it and tells the others, and what is said there
//! goes to all, who keep it in their histories and hand it out to those who are on them.
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

mod others;
mod pages;
mod pictures;
mod rules;
mod shapes;
mod state;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use sockeye::{
    Ack, Args, BroadcastOperator, Bytes, Data, ExtractError, Incomplete, Namespace, Reply, Server,
    ServerSideError, Socket, State,
};
use tokio::sync::Notify;

pub use pages::{CONTENT_SECURITY_POLICY, pages};
use rules::Refusal;
use shapes::{
    Accepted, Answer, Content, Join, Joined, Message, Present, Received, Started, Typing,
    UploadStart,
};
use state::{Change, Chat};

/// The chat, as the handlers share it.
///
/// What a change means to others is emitted before the lock is released. So everybody hears of
/// changes in the order in which they happened, and nobody who comes in between misses one. It
/// is held for a short time only, because `emit` never waits.
struct Venue {
    chat: Mutex<Chat>,
    /// Told when the list of rooms is not what was last sent.
    rooms_changed: Notify,
    /// Told when others are here than what the other servers of the cluster were told last.
    people_changed: Notify,
}

/// The arguments of an event. Handlers that take them like this are called even if they are
/// wrong, and refuse in the chat's own words.
type Sent<T> = Result<Data<T>, ExtractError>;

/// The room of the library in which everybody is who has joined a room of the chat.
const JOINED: &str = "joined";

/// At most this often the list of rooms goes to everybody: it is long, and whoever runs from
/// room to room changes it all the time.
const ROOMS_PAUSE: Duration = Duration::from_millis(100);

/// How often the other servers are told who is here, if nobody comes or goes: several times before they give this one
/// up.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(3);

/// What servers tell each other: a message; who is there; and what they ask for: a picture. No client can send these.
const SAID: &str = "chat-message";
const PRESENT: &str = "chat-people";
const PICTURE: &str = "chat-picture";

/// Opens the chat on a server, in its namespace `/`.
///
/// # Panics
///
/// Outside of a tokio runtime, as a task of its own tells of changes to the list of rooms.
pub fn open(io: &Server) {
    let shared = Arc::new(Venue {
        chat: Mutex::new(match io.cluster() {
            Some(_) => Chat::new(format!("{:016x}", random()), number_base()),
            None => Chat::new(format!("{:016x}", random()), 0),
        }),
        rooms_changed: Notify::new(),
        people_changed: Notify::new(),
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
    if io.cluster().is_some() {
        join_others(io, &shared);
    }
    tokio::spawn(tell_rooms(io.clone(), shared));
}

/// Makes the chat one with those of the other servers.
fn join_others(io: &Server, shared: &Arc<Venue>) {
    let chat = Arc::clone(shared);
    io.server_side()
        .on(SAID, move |io: Server, Data(message): Data<Message>| {
            let mut chat = chat.chat.lock();
            if let Some(message) = chat.adopt(message) {
                tell_here(&io, message);
            }
        });
    let chat = Arc::clone(shared);
    io.server_side()
        .on(PRESENT, move |io: Server, Data(present): Data<Present>| {
            let news = {
                let mut state = chat.chat.lock();
                let news = state.hear(present, Instant::now());
                tell_changes(&io, &state, &news.rooms);
                news
            };
            if !news.rooms.is_empty() {
                chat.rooms_changed.notify_one();
            }
            if news.is_new {
                // It knows as little of this one.
                chat.people_changed.notify_one();
            }
        });
    let chat = Arc::clone(shared);
    io.server_side().on(PICTURE, move |Data(id): Data<u64>| {
        Reply(chat.chat.lock().picture(id).ok())
    });
    tokio::spawn(tell_others(io.clone(), Arc::clone(shared)));
}

/// Enters a room. The answer is sent by hand rather than returned, so that it is on its way
/// before the lock is released: a list of people that is newer must not overtake it.
fn join(
    socket: Socket,
    State(shared): State<Arc<Venue>>,
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
            shared.people_changed.notify_one();
        }
        Ok(welcome)
    });
    ack.send(Answer::from(welcome))
}

/// Says something to the room.
fn message(
    socket: Socket,
    State(shared): State<Arc<Venue>>,
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
fn typing(socket: Socket, State(shared): State<Arc<Venue>>, Data(typing): Data<bool>) {
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
    State(shared): State<Arc<Venue>>,
    sent: Sent<UploadStart>,
) -> Reply<Answer<Started>> {
    let mut chat = shared.chat.lock();
    let upload = argument(sent).and_then(|start| chat.start_upload(socket.id(), &start));
    answer(upload.map(|upload| Started { upload }))
}

/// Adds to a picture. The acknowledgements move the progress bar of the one who sends it.
fn upload_chunk(
    socket: Socket,
    State(shared): State<Arc<Venue>>,
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
    State(shared): State<Arc<Venue>>,
    sent: Sent<u64>,
) -> Result<Reply<Answer<shapes::Content>>, sockeye::EmitError> {
    socket.ready().await?;
    let id = match argument(sent) {
        Ok(id) => id,
        Err(refusal) => return Ok(answer(Err(refusal))),
    };
    let (here, is_told) = {
        let chat = shared.chat.lock();
        (chat.picture(id), chat.is_told(id))
    };
    if here.is_ok() || !is_told {
        return Ok(answer(here));
    }
    let Some(picture) = picture_of_others(&socket, id).await else {
        return Ok(answer(here));
    };
    shared.chat.lock().adopt_picture(id, &picture);
    Ok(answer(Ok(picture)))
}

/// The picture of a message that was sent on another server.
async fn picture_of_others(socket: &Socket, id: u64) -> Option<Content> {
    let asked = socket.namespace().server_side_emit_with_ack(PICTURE, id);
    let answers: Vec<Option<Content>> = match asked.await {
        Ok(answers) => answers,
        // Whoever has it may be among those who have answered.
        Err(ServerSideError::Incomplete(Incomplete { answers, .. })) => answers,
        Err(_) => return None,
    };
    answers.into_iter().flatten().next()
}

/// Forgets who has left.
fn leave(socket: Socket, State(shared): State<Arc<Venue>>) {
    let mut chat = shared.chat.lock();
    if let Some(room) = chat.leave(socket.id()) {
        tell_people(&socket, &chat, &room);
        shared.rooms_changed.notify_one();
        shared.people_changed.notify_one();
    }
}

/// Sends everybody the list of rooms when it has changed.
async fn tell_rooms(io: Server, shared: Arc<Venue>) {
    loop {
        shared.rooms_changed.notified().await;
        {
            let chat = shared.chat.lock();
            tell(&io.to(JOINED).local(), "rooms", chat.rooms());
        }
        tokio::time::sleep(ROOMS_PAUSE).await;
    }
}

/// Tells the other servers who is here when that has changed, and now and then if it has not; and forgets those who do
/// not.
async fn tell_others(io: Server, shared: Arc<Venue>) {
    loop {
        // Either way they are told.
        let _ = tokio::time::timeout(PRESENCE_INTERVAL, shared.people_changed.notified()).await;
        {
            let mut chat = shared.chat.lock();
            tell_servers(&io, PRESENT, chat.present());
            let gone = chat.forget_silent(Instant::now());
            tell_changes(&io, &chat, &gone);
            if !gone.is_empty() {
                shared.rooms_changed.notify_one();
            }
        }
        tokio::time::sleep(ROOMS_PAUSE).await;
    }
}

/// Sends the others in a room the list of who is there. Those on other servers get it there.
fn tell_people(socket: &Socket, chat: &Chat, room: &str) {
    let others = socket.to(channel(room)).local();
    tell(&others, "people", chat.everybody(room));
}

/// Sends those who are here, and in one of these rooms, the list of who is there.
fn tell_changes(io: &Server, chat: &Chat, rooms: &[String]) {
    for room in rooms {
        let people = chat.everybody(room);
        tell(&io.to(channel(room)).local(), "people", people);
    }
}

/// Sends a message to its room, whoever wrote it included. Other servers send it to those who are there themselves, when
/// they keep it: so nobody who comes in between misses it.
fn tell_message(socket: &Socket, message: &Message) {
    tell_here(socket.namespace(), message);
    tell_servers(socket.namespace(), SAID, message);
}

fn tell_here(namespace: &Namespace, message: &Message) {
    let room = namespace.to(channel(&message.room)).local();
    tell(&room, "message", message);
}

fn tell_servers(namespace: &Namespace, event: &str, args: impl sockeye::ToArgs) {
    if let Err(error) = namespace.server_side_emit(event, args) {
        tracing::error!(%error, event, "not emitted");
    }
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
fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Where the numbers of this server begin in a cluster, so that no two give the same: each has 2³² of its own, and all
/// of them fit into the numbers of JavaScript.
fn number_base() -> u64 {
    (random() & 0xf_ffff) << 32
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
