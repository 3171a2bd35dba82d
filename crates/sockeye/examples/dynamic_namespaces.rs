//! Namespaces that come into being when a client asks for them: one for each document, with its own history and members.
//!
//! ```text
//! cargo run --example dynamic_namespaces
//! ```
//!
//! Try it with two clients on one document and one on another, after `npm install socket.io-client`:
//!
//! ```text
//! node -e '
//! const { io } = require("socket.io-client");
//! const open = (name, user) => {
//!   const socket = io(`http://localhost:3000/docs/${name}`, { auth: { user }, forceNew: true });
//!   socket.on("edited", (by, text) => console.log(`${user}, in ${name}: ${by} wrote ${text}`));
//!   socket.on("notice", (text) => console.log(`${user}, in ${name}: ${text}`));
//!   socket.on("connect_error", (error) => console.log(`${user}, in ${name}: ${error.message}`));
//!   return socket;
//! };
//! const [ann, bob, cid] = [open("7", "ann"), open("7", "bob"), open("8", "cid")];
//! open("not a number", "dan");
//! open("9", undefined);
//! (async () => {
//!   console.log("ann edits:", await ann.emitWithAck("edit", "hello"));
//!   console.log("cid edits:", await cid.emitWithAck("edit", "elsewhere"));
//!   console.log("open:", await cid.emitWithAck("open documents"));
//!   ann.close();
//!   bob.close();
//!   setTimeout(async () => console.log("open:", await cid.emitWithAck("open documents")), 100);
//! })();
//! '
//! ```

use std::time::Duration;

use sockeye::{
    Captures, Data, EmitError, Handshake, ParentNamespace, PatternError, Refusal, Server, Socket,
};

/// What clients send as `auth`.
#[derive(serde::Deserialize)]
struct Credentials {
    user: String,
}

/// Who a socket is.
#[derive(Clone)]
struct User(String);

/// The names of the namespaces.
const DOCUMENTS: &str = "/docs/{id}";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://localhost:3000");

    let io = app()?;

    // To everyone in all of them.
    let documents = io.of_pattern(DOCUMENTS)?;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let _ = documents.emit("notice", "remember to save");
        }
    });

    let listener = io.listen(url).await?;
    println!("listening on {}", listener.url());
    tokio::signal::ctrl_c().await?;
    io.close().await;
    Ok(())
}

/// The server, which listens nowhere yet: tests begin with it, too.
fn app() -> Result<Server, PatternError> {
    let io = Server::new();

    // Any client may ask for any name of this pattern. What follows holds for all of these namespaces.
    let documents = io.of_pattern(DOCUMENTS)?;

    // Whom a middleware refuses does not get in, and if nobody else is, the namespace is gone again. A name whose capture is
    // no number is refused as well, as the parameter cannot be had.
    documents.middleware(
        |socket: Socket, handshake: Handshake, Captures(id): Captures<u32>| {
            let Ok(Credentials { user }) = handshake.auth() else {
                return Err(Refusal::new("say who you are"));
            };
            println!("{user} opens document {id}");
            socket.set_data(User(user));
            Ok(())
        },
    );

    // A namespace is all that is needed to reach those who are in it.
    documents.on(
        "edit",
        |socket: Socket, Captures(id): Captures<u32>, Data(text): Data<String>| {
            let user = socket.data::<User>().map(|user| user.0);
            socket.broadcast().emit("edited", (user, text))?;
            Ok::<_, EmitError>(format!("document {id} has it"))
        },
    );

    documents.on("open documents", |parent: ParentNamespace| {
        let children = parent.children().into_iter();
        let mut ids: Vec<_> = children
            .filter_map(|child| child.capture("id").map(str::to_owned))
            .collect();
        ids.sort_unstable();
        ids
    });

    // Called before anybody is in, and again if everybody had left in between.
    io.on_new_namespace(|namespace| println!("{} is open", namespace.name()));

    Ok(io)
}

#[cfg(test)]
mod tests {
    use sockeye::{ConnectError, json, testing};

    use super::app;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    #[tokio::test(start_paused = true)]
    async fn documents_come_and_go_with_those_who_edit_them() -> Result {
        let app = testing::Server::new(app()?);
        let open = |name: &str, user: &str| app.connect(name).auth(json!({ "user": user }));
        let ann = open("/docs/1", "ann").await?;
        let bob = open("/docs/1", "bob").await?;
        let eve = open("/docs/2", "eve").await?;

        let answer: String = ann.emit_with_ack("edit", "a line").await?;
        assert_eq!(answer, "document 1 has it");
        let edited: (String, String) = bob.next("edited").await;
        assert_eq!(edited, ("ann".to_owned(), "a line".to_owned()));
        eve.hears_nothing().await;
        let ids: Vec<String> = ann.emit_with_ack("open documents", ()).await?;
        assert_eq!(ids, ["1", "2"]);

        eve.disconnect();
        testing::settle().await;
        let ids: Vec<String> = ann.emit_with_ack("open documents", ()).await?;
        assert_eq!(ids, ["1"]);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn document_without_a_number_or_a_user_is_refused() -> Result {
        let app = testing::Server::new(app()?);
        let refused = app.connect("/docs/1").await;
        assert!(matches!(refused, Err(ConnectError::Refused(_))));
        let refused = app.connect("/docs/one").auth(json!({ "user": "ann" }));
        assert!(matches!(refused.await, Err(ConnectError::Refused(_))));
        assert!(app.namespace("/docs/1").is_none());
        Ok(())
    }
}
