//! Recovery: a ticker whose listeners lose nothing when their network fails for a while.
//!
//! `recovery [URL]` serves on `http://localhost:3000` unless told otherwise. Connect a client, such as
//! `sockeye connect http://localhost:3000`, cut its network, and mend it within half a minute.

use std::time::Duration;

use sockeye::{DisconnectReason, RecoveryConfig, Server, ServerConfig, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "http://localhost:3000".to_owned());
    let recovery = RecoveryConfig::default().max_disconnection(Duration::from_secs(30));
    let io = Server::with_config(ServerConfig::default().recovery(recovery))?;
    io.on_connect(|socket: Socket| {
        if socket.recovered() {
            println!("{} is back, and has got what it missed", socket.id());
        } else {
            println!("{} is new", socket.id());
            socket.join("ticker");
        }
    });
    io.on_disconnect(|socket: Socket, reason: DisconnectReason| {
        println!("{} is lost: {reason}", socket.id());
    });
    io.on_recovery_expired(|socket| println!("{} has not come back", socket.id));
    let listener = io.listen(url).await?;
    println!("listening on {}", listener.url());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for tick in 0_u64.. {
        second.tick().await;
        io.to("ticker").emit("tick", tick)?;
    }
    Ok(())
}
