//! A chat with rooms, names and typing notices, whose server prints what is going on.
//!
//! ```text
//! cargo run --example chat
//! ```
//!
//! After `npm install socket.io-client`, run this in several terminals, with other names:
//!
//! ```text
//! node -e '
//! const socket = require("socket.io-client")("http://localhost:3000");
//! const [name, room] = process.argv.slice(1);
//! socket.on("connect", () => socket.emit("join", room, name, (reply) => console.log("here:", reply)));
//! socket.on("said", (who, text) => console.log(`${who}: ${text}`));
//! socket.on("joined", (who) => console.log(`* ${who} is here`));
//! socket.on("left", (who) => console.log(`* ${who} has gone`));
//! socket.on("typing", (who) => console.log(`* ${who} is typing`));
//! process.stdin.on("data", (line) => line == "\n" ? socket.emit("typing") : socket.emit("say", `${line}`.trim()));
//! ' Ann lobby
//! ```
//!
//! An empty line tells the others that you are typing. A name that is taken is refused; who
//! joins a second room leaves the first.

#![expect(
    clippy::needless_pass_by_value,
    reason = "handlers are given their parameters"
)]

use sockeye::{Data, DisconnectReason, Server, Socket};

/// Who a socket is, and where. Stored with the socket by `set_data`.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    room: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://localhost:3000");

    let io = app();
    let listener = io.listen(url).await?;
    println!("chat on {}; Ctrl-C ends it", listener.url());
    tokio::signal::ctrl_c().await?;
    io.close().await;
    Ok(())
}

/// The server, which listens nowhere yet: tests begin with it, too.
fn app() -> Server {
    let io = Server::new();
    io.on("join", join)
        .on("say", say)
        .on("typing", typing)
        // The rooms are still there while a socket is disconnecting.
        .on_disconnecting(|socket: Socket, reason: DisconnectReason| {
            leave(&socket, reason.as_str());
        });
    io
}

/// Joins a room under a name. The acknowledgement has the names of everyone there, or
/// `{ error: { message } }`.
fn join(
    socket: Socket,
    Data((room, name)): Data<(String, String)>,
) -> Result<Vec<String>, &'static str> {
    let name = name.trim().to_owned();
    if name.is_empty() {
        return Err("a name is needed");
    }
    let others = socket.to(&room).sockets();
    let mut names: Vec<String> = others
        .iter()
        .filter_map(|other| other.data::<Member>())
        .map(|member| member.name)
        .collect();
    if names.contains(&name) {
        return Err("that name is taken");
    }

    leave(&socket, "another room");
    println!("[{room}] {name} joined");
    socket.join(&room);
    // Everyone in the room but this socket. That a receiver is gone is no error.
    let told = socket.to(&room).emit("joined", &name);
    told.map_err(|_| "cannot tell the others")?;
    names.push(name.clone());
    socket.set_data(Member { name, room });
    Ok(names)
}

/// Says something to the room, oneself included.
fn say(socket: Socket, Data(text): Data<String>) -> Result<(), Box<dyn std::error::Error>> {
    let Member { name, room } = socket.data().ok_or("join a room first")?;
    println!("[{room}] {name}: {text}");
    // On the namespace nobody is left out; on the socket it would be everyone else.
    socket.namespace().to(room).emit("said", (name, text))?;
    Ok(())
}

/// Tells the others that somebody types. Volatile: whoever cannot take it now need not have it.
fn typing(socket: Socket) -> Result<(), Box<dyn std::error::Error>> {
    let Member { name, room } = socket.data().ok_or("join a room first")?;
    socket.to(room).volatile().emit("typing", name)?;
    Ok(())
}

fn leave(socket: &Socket, why: &str) {
    if let Some(Member { name, room }) = socket.take_data() {
        println!("[{room}] {name} left: {why}");
        socket.leave(&room);
        if let Err(error) = socket.to(room).emit("left", name) {
            eprintln!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use sockeye::{AckError, Value, testing};

    use super::app;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    #[tokio::test(start_paused = true)]
    async fn everyone_in_the_room_reads_what_is_said() -> Result {
        let app = testing::Server::new(app());
        let ann = app.connect("/").await?;
        let bob = app.connect("/").await?;
        let eve = app.connect("/").await?;
        eve.emit_with_ack::<Value>("join", ("hall", "Eve")).await?;

        let names: Vec<String> = ann.emit_with_ack("join", ("room", "Ann")).await?;
        assert_eq!(names, ["Ann"]);
        let names: Vec<String> = bob.emit_with_ack("join", ("room", "Bob")).await?;
        assert_eq!(names, ["Ann", "Bob"]);
        assert_eq!(ann.next::<String>("joined").await, "Bob");

        bob.emit("typing", ())?;
        bob.emit("say", "hello")?;
        assert_eq!(ann.next::<String>("typing").await, "Bob");
        for reader in [&ann, &bob] {
            let said: (String, String) = reader.next("said").await;
            assert_eq!(said, ("Bob".to_owned(), "hello".to_owned()));
        }
        eve.hears_nothing().await;
        bob.hears_nothing().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn name_is_taken_until_its_owner_leaves() -> Result {
        let app = testing::Server::new(app());
        let ann = app.connect("/").await?;
        let other = app.connect("/").await?;
        ann.emit_with_ack::<Value>("join", ("room", "Ann")).await?;
        let taken = other.emit_with_ack::<Value>("join", ("room", "Ann")).await;
        let Err(AckError::Refused(refusal)) = taken else {
            panic!("{taken:?}");
        };
        assert_eq!(refusal.message(), "that name is taken");

        // A connection that is lost is a farewell as well.
        ann.network().down();
        testing::pass(std::time::Duration::from_secs(1)).await;
        let names: Vec<String> = other.emit_with_ack("join", ("room", "Ann")).await?;
        assert_eq!(names, ["Ann"]);
        Ok(())
    }
}
