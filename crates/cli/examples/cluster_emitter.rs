//! An emitter with a fixed contract, for test suites: `cluster_emitter --cluster URL`.
//!
//! It is no server, and tells those of the cluster at URL what its standard input says: a JSON object on each line, whose `do`
//! is one of these. Which sockets are meant is in `of` (a namespace; `/` if not given), `to` and `except` (lists of rooms).
//!
//! * `emit`: `event` and `args` (a list), `volatile` and `compress` (booleans);
//! * `join` and `leave`: `rooms`;
//! * `disconnect`: `close` (a boolean);
//! * `server-emit`: `event` and `args`, for the servers themselves.
//!
//! Bytes are objects such as Node writes of a Buffer: `{"type":"Buffer","data":[1,2]}`. At the end of its input it waits until
//! all is published.

use std::error::Error;
use std::io;

use serde::Deserialize;
use serde_json::value::RawValue;
use sockeye::cluster::from_url;
use sockeye::{Emitter, RawArgs};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: cluster_emitter --cluster URL";
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [option, url] = &args[..] else {
        return Err(usage.into());
    };
    if option != "--cluster" {
        return Err(usage.into());
    }
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let emitter = Emitter::new(from_url(url)?)?;
    // Lines are read by a thread of their own, as those of standard input cannot be waited for.
    let lines = emitter.clone();
    let runtime = tokio::runtime::Handle::current();
    let read = tokio::task::spawn_blocking(move || -> Result<(), String> {
        let _guard = runtime.enter();
        for line in io::stdin().lines() {
            let line = line.map_err(|error| error.to_string())?;
            follow(&lines, &line).map_err(|error| format!("{line}: {error}"))?;
        }
        Ok(())
    });
    read.await??;
    emitter.close().await;
    Ok(())
}

/// What to do, and to whom.
#[derive(Deserialize)]
struct Order<'a> {
    #[serde(rename = "do")]
    what: Action,
    of: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    volatile: bool,
    compress: Option<bool>,
    #[serde(default)]
    event: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(default)]
    rooms: Vec<String>,
    #[serde(default)]
    close: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Emit,
    Join,
    Leave,
    Disconnect,
    ServerEmit,
}

fn follow(emitter: &Emitter, line: &str) -> Result<(), Box<dyn Error>> {
    let order: Order<'_> = sockeye::from_json(line)?;
    let args = RawArgs::from_array(order.args.map_or("[]", RawValue::get))?.with_buffers();
    let mut meant = emitter.of(order.of.as_deref().unwrap_or("/"));
    meant = meant.to(&order.to).except(&order.except);
    if order.volatile {
        meant = meant.volatile();
    }
    if let Some(compress) = order.compress {
        meant = meant.compress(compress);
    }
    match order.what {
        Action::Emit => meant.emit(&order.event, args)?,
        Action::Join => meant.sockets_join(&order.rooms),
        Action::Leave => meant.sockets_leave(&order.rooms),
        Action::Disconnect if order.close => meant.close_sockets(),
        Action::Disconnect => meant.disconnect_sockets(),
        Action::ServerEmit => meant.server_side_emit(&order.event, args)?,
    }
    Ok(())
}
