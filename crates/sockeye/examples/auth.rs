//! Who may come in, and what they may do.
//!
//! * `allow_request` looks at the `Origin` of the HTTP request, before there is a session;
//! * a middleware of the namespace checks the token in the handshake's `auth`, and stores whom
//!   it belongs to with the socket;
//! * the namespace `/admin` lets in administrators only;
//! * a middleware of each socket bounds how many events a second it may send.
//!
//! ```text
//! cargo run --example auth
//! ```
//!
//! Try it from Node, after `npm install socket.io-client`:
//!
//! ```text
//! node -e '
//! const { io } = require("socket.io-client");
//! const open = (namespace, token) => {
//!   const socket = io("http://localhost:3000" + namespace, { forceNew: true, auth: { token } });
//!   socket.on("connect_error", (error) => console.log(namespace, token, error.message, error.data));
//!   return socket;
//! };
//! open("/", "guess");                                // refused, with data
//! open("/admin", "ann-secret");                      // refused: not an administrator
//! open("/", "ann-secret").emit("whoami", (user) => console.log("I am", user));
//! open("/admin", "bob-secret").emit("users", (users) => console.log("connected:", users));
//! setTimeout(() => process.exit(), 1000);
//! '
//! ```
//!
//! And an origin that is not allowed, which gets status 403:
//!
//! ```text
//! curl -i -H 'Origin: https://evil.example' 'http://localhost:3000/socket.io/?EIO=4&transport=polling'
//! ```

#![expect(
    clippy::needless_pass_by_value,
    reason = "handlers are given their parameters"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use sockeye::{
    ConfigError, Cors, EventName, Handshake, Next, Refusal, Reply, Server, ServerConfig, Socket,
    State, json,
};
// Unlike that of std, it goes by the clock that tests can stop.
use tokio::time::Instant;

/// The pages that may use this server.
const ORIGINS: [&str; 2] = ["http://localhost:3000", "http://localhost:8080"];

/// How many events a socket may send at once, and how many more every second.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 5.0;

/// What clients send: `io(url, { auth: { token } })`.
#[derive(Deserialize)]
struct Credentials {
    token: String,
}

/// Whom a token belongs to.
#[derive(Clone, Debug, Serialize)]
struct User {
    name: &'static str,
    admin: bool,
}

/// The users by their tokens; a real server would ask a database.
type Users = Arc<HashMap<&'static str, User>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://localhost:3000");

    let io = app()?;
    let listener = io.listen(url).await?;
    println!("listening on {}", listener.url());
    tokio::signal::ctrl_c().await?;
    io.close().await;
    Ok(())
}

/// The server, which listens nowhere yet: tests begin with it, too.
fn app() -> Result<Server, ConfigError> {
    let ann = User {
        name: "Ann",
        admin: false,
    };
    let bob = User {
        name: "Bob",
        admin: true,
    };
    let users: Users = Arc::new(HashMap::from([("ann-secret", ann), ("bob-secret", bob)]));

    // CORS tells browsers which pages may read polling answers; it does not stop a page from
    // opening a WebSocket. The check of the origin does, and other clients send none.
    let config = ServerConfig::default().engine(|engine| {
        engine
            .cors(Cors::origins(ORIGINS))
            .allow_request(async |handshake| match handshake.header("origin") {
                Some(origin) if !ORIGINS.contains(&origin) => Err("unknown origin".to_owned()),
                _ => Ok(()),
            })
    });
    let io = Server::with_config(config)?;
    io.state(users);

    // Middlewares run one after the other, before the client hears that it is connected.
    io.middleware(authenticate)
        .on_error(|socket, error| println!("{socket:?}: {error:#}"))
        .on_connect(limit_rate)
        .on("whoami", |socket: Socket| Reply(socket.data::<User>()));

    let admin = io.of("/admin");
    admin.middleware(authenticate).middleware(require_admin).on(
        "users",
        |State(io): State<Server>| {
            let sockets = io.sockets();
            let users = sockets.iter().filter_map(|socket| socket.data::<User>());
            users.map(|user| user.name).collect::<Vec<_>>()
        },
    );
    io.state(io.clone());
    Ok(io)
}

/// Lets in who has a token that is known.
async fn authenticate(
    socket: Socket,
    handshake: Handshake,
    State(users): State<Users>,
) -> Result<(), Refusal> {
    let Credentials { token } = handshake
        .auth()
        .map_err(|_| Refusal::new("a token is needed"))?;
    let user = users.get(&*token).ok_or_else(|| {
        // The client finds the data in `error.data` of its `connect_error` event.
        Refusal::new("unknown token").with_data(json!({ "code": "E_TOKEN" }))
    })?;
    socket.set_data(user.clone());
    Ok(())
}

/// Lets in administrators only. Any text can refuse.
fn require_admin(socket: Socket) -> Result<(), &'static str> {
    match socket.data::<User>() {
        Some(user) if user.admin => Ok(()),
        _ => Err("administrators only"),
    }
}

/// Gives a socket that has connected a bucket of tokens, of which each event takes one.
fn limit_rate(socket: Socket) {
    let bucket = Mutex::new((BURST, Instant::now()));
    socket.middleware(move |EventName(name): EventName| {
        let (left, since) = &mut *bucket
            .lock()
            .expect("nothing panics with the bucket in hand");
        let now = Instant::now();
        *left = (*left + (now - *since).as_secs_f64() * PER_SECOND).min(BURST);
        *since = now;
        if *left < 1.0 {
            // The handlers do not see the event; the error hook does. `Next::Drop` would be
            // the quiet way.
            return Next::Refuse(Refusal::new(format!("{name} is too much")));
        }
        *left -= 1.0;
        Next::Pass
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sockeye::{AckError, ConnectError, Value, json, testing};

    use super::app;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    async fn refusal(app: &testing::Server, namespace: &str, auth: Value) -> String {
        match app.connect(namespace).auth(auth).await {
            Err(ConnectError::Refused(refusal)) => refusal.message().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_those_get_in_who_may() -> Result {
        let app = testing::Server::new(app()?);
        let (ann, bob) = (
            json!({ "token": "ann-secret" }),
            json!({ "token": "bob-secret" }),
        );
        let guess = json!({ "token": "guess" });
        assert_eq!(refusal(&app, "/", json!({})).await, "a token is needed");
        assert_eq!(refusal(&app, "/", guess).await, "unknown token");
        let admin = refusal(&app, "/admin", ann.clone()).await;
        assert_eq!(admin, "administrators only");

        let socket = app.connect("/").auth(ann).await?;
        let user: Value = socket.emit_with_ack("whoami", ()).await?;
        assert_eq!(user, json!({ "name": "Ann", "admin": false }));
        let admin = app.connect("/admin").auth(bob).await?;
        let users: Vec<String> = admin.emit_with_ack("users", ()).await?;
        assert_eq!(users, ["Ann"]);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn page_from_elsewhere_gets_no_session() -> Result {
        let app = testing::Server::new(app()?);
        for (origin, status) in [("https://evil.example", 403), (super::ORIGINS[0], 200)] {
            let page = app.peer(sockeye::TransportKind::Polling);
            let page = page.header("origin", origin);
            match status {
                200 => drop(page.await),
                _ => assert_eq!(page.refused().await.0, status),
            }
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_events_are_dropped_until_time_has_passed() -> Result {
        let app = testing::Server::new(app()?);
        let auth = json!({ "token": "ann-secret" });
        let ann = app.connect("/").auth(auth).await?;
        for _ in 0..20 {
            ann.emit_with_ack::<Value>("whoami", ()).await?;
        }
        let refused = ann.emit_with_ack::<Value>("whoami", ()).await;
        assert!(matches!(refused, Err(AckError::Refused(_))));
        testing::pass(Duration::from_secs(1)).await;
        let user: Value = ann.emit_with_ack("whoami", ()).await?;
        assert_eq!(user["name"], "Ann");
        Ok(())
    }
}
