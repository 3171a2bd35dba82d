//! A server that is shown by the page `@socket.io/admin-ui`: `admin HOST:PORT [PRODUCTION]`.
//!
//! The page is at <https://admin.socket.io>, and in the npm package of that name. It asks for the server's URL, the namespace
//! `/admin`, the name `ann` and the password `correct horse`; a server has to
//! allow pages of elsewhere (CORS), which this one does for that.
//!
//! Clients may emit `join` and `leave` with a room, and `name`, which is what the page shows as the socket's data; `say`
//! emits `said` to the room that is named first. `echo` is answered. `/chat` does the same.

use std::error::Error;

use sockeye::admin::{self, AdminConfig, Credentials, Mode};
use sockeye::{Args, Cors, Data, Server, ServerConfig, Socket, Value, json};

/// `correct horse`. One of your own is made by `htpasswd -nBC 10 NAME`, and belongs into a file that only the server reads.
const HASH: &str = "$2b$10$jPzzNernFh4JYZCyVk47Z.XMIHFQ7RRUquwQ6nRcrE9w0jw17ETvW";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "localhost:3000".to_owned());
    let mode = match args.next() {
        Some(_) => Mode::Production,
        None => Mode::Development,
    };
    let io = app(mode)?;
    let listener = io.listen(format!("http://{address}")).await?;
    println!("listening on {}", listener.url());
    tokio::signal::ctrl_c().await?;
    io.close().await;
    Ok(())
}

fn app(mode: Mode) -> Result<Server, Box<dyn Error>> {
    let page = Cors::origins(["https://admin.socket.io"]).credentials(true);
    let config = ServerConfig::default().engine(|engine| engine.cors(page));
    let io = Server::with_config(config)?;
    // Before there are other handlers: theirs is what it is to tell of.
    let config = AdminConfig::new(Credentials::new("ann", HASH)?).mode(mode);
    admin::instrument(&io, config)?;
    for name in ["/", "/chat"] {
        serve(&io, name);
    }
    Ok(io)
}

fn serve(io: &Server, name: &str) {
    let namespace = io.of(name);
    namespace.on("join", |socket: Socket, Data(room): Data<String>| {
        socket.join(room);
        true
    });
    namespace.on("leave", |socket: Socket, Data(room): Data<String>| {
        socket.leave(&room);
        true
    });
    namespace.on("name", |socket: Socket, Data(name): Data<Value>| {
        socket.set_shared_data(json!({ "name": name })).is_ok()
    });
    namespace.on(
        "say",
        |socket: Socket, Data((room, text)): Data<(String, Value)>| {
            socket.namespace().to(room).emit("said", text)
        },
    );
    namespace.on("echo", |args: Args| args);
}
