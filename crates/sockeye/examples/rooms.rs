//! Rooms and broadcasts: who gets what.
//!
//! ```text
//! cargo run --example rooms
//! ```
//!
//! Try it with three clients in one process, after `npm install socket.io-client`:
//!
//! ```text
//! node -e '
//! const { io } = require("socket.io-client");
//! const clients = ["a", "b", "c"].map((name) => {
//!   const socket = io("http://localhost:3000", { forceNew: true });
//!   socket.on("news", (text) => console.log(`${name} got: ${text}`));
//!   socket.on("vote", (question, answer) => { if (name != "c") answer(`${name} says yes`); });
//!   return socket;
//! });
//! const [a, b, c] = clients;
//! (async () => {
//!   console.log("rooms of a:", await a.emitWithAck("join", ["red", "blue"]));
//!   console.log("rooms of b:", await b.emitWithAck("join", ["red"]));
//!   await c.emitWithAck("join", ["quiet"]);
//!   await a.emitWithAck("tell", ["red", "blue"], "b gets this once");
//!   await a.emitWithAck("announce", "a and b get this, c is in quiet");
//!   console.log("in red:", (await c.emitWithAck("who", "red")).length);
//!   console.log("votes:", await a.emitWithAck("vote", "lunch?"));
//!   console.log("in green:", await c.emitWithAck("gather", "green"));
//!   clients.forEach((socket) => socket.close());
//! })();
//! '
//! ```

use std::time::Duration;

use sockeye::{AckSummary, Data, EmitError, Reply, Server, Socket};

/// How a vote ended.
#[derive(serde::Serialize)]
struct Outcome {
    answers: Vec<String>,
    missing: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://localhost:3000");

    let io = app();
    let listener = io.listen(url).await?;
    println!("listening on {}", listener.url());
    tokio::signal::ctrl_c().await?;
    io.close().await;
    Ok(())
}

/// The server, which listens nowhere yet: tests begin with it, too.
fn app() -> Server {
    let io = Server::new();

    // A room exists as long as somebody is in it. Every socket is in the room of its own id.
    io.on("join", |socket: Socket, Data(rooms): Data<Vec<String>>| {
        socket.join(rooms);
        socket.rooms()
    });
    io.on("leave", |socket: Socket, Data(room): Data<String>| {
        socket.leave(room);
        socket.rooms()
    });

    // From a socket: everyone in these rooms but the socket itself, each once. `true` answers
    // the event when it has been sent.
    io.on(
        "tell",
        |socket: Socket, Data((rooms, text)): Data<(Vec<String>, String)>| {
            socket.to(rooms).emit("news", text)?;
            Ok::<_, EmitError>(true)
        },
    );

    // From the namespace: everyone but those in a room.
    io.on("announce", |socket: Socket, Data(text): Data<String>| {
        socket.namespace().except("quiet").emit("news", text)?;
        Ok::<_, EmitError>(true)
    });

    // The sockets themselves, with their handshakes and data. (Their ids are not for others, as
    // those of old clients are secret.)
    io.on("who", |socket: Socket, Data(room): Data<String>| {
        let sockets = socket.namespace().to(room).sockets();
        sockets
            .iter()
            .map(|socket| socket.handshake().header("user-agent").map(str::to_owned))
            .collect::<Vec<_>>()
    });

    // A question to everyone, and who answered within a second.
    io.on(
        "vote",
        async |socket: Socket, Data(question): Data<String>| {
            let AckSummary {
                answers, missing, ..
            } = socket
                .namespace()
                .timeout(Duration::from_secs(1))
                .emit_with_ack::<String>("vote", question)?
                .await;
            for (who, error) in &missing {
                println!("{who:?} did not vote: {error}");
            }
            Ok::<_, EmitError>(Reply(Outcome {
                answers: answers.into_iter().map(|(_, answer)| answer).collect(),
                missing: missing.len(),
            }))
        },
    );

    // Many sockets can be moved at once.
    io.on("gather", |socket: Socket, Data(room): Data<String>| {
        let everyone = socket.namespace();
        everyone.sockets_join(&room);
        everyone.to(room).sockets().len()
    });
    io
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sockeye::{Value, testing};

    use super::app;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    #[tokio::test(start_paused = true)]
    async fn whoever_is_in_several_rooms_is_told_once() -> Result {
        let app = testing::Server::new(app());
        let a = app.connect("/").await?;
        let b = app.connect("/").await?;
        let c = app.connect("/").await?;
        let rooms: Vec<String> = b.emit_with_ack("join", vec!["red", "blue"]).await?;
        assert_eq!(rooms.len(), 3, "the one of its own id is among them");
        c.emit_with_ack::<Value>("join", vec!["quiet"]).await?;

        a.emit("tell", (vec!["red", "blue"], "once"))?;
        assert_eq!(b.next::<String>("news").await, "once");
        a.emit("announce", "loud")?;
        assert_eq!(a.next::<String>("news").await, "loud");
        assert_eq!(b.next::<String>("news").await, "loud");
        b.hears_nothing().await;
        c.hears_nothing().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn vote_is_over_in_a_second() -> Result {
        let app = testing::Server::new(app());
        let a = app.connect("/").on("vote", || "yes").await?;
        let silent = app.connect("/").await?;
        let began = tokio::time::Instant::now();
        let outcome: Value = a.emit_with_ack("vote", "lunch?").await?;
        assert_eq!(outcome["answers"][0], "yes");
        assert_eq!(outcome["missing"], 1);
        assert!(began.elapsed() < Duration::from_millis(1100));
        assert_eq!(silent.next::<String>("vote").await, "lunch?");
        Ok(())
    }
}
