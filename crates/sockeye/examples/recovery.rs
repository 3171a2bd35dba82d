//! Recovery: a ticker whose listeners lose nothing when their network fails for a while.
//!
//! `recovery [URL]` serves on `http://localhost:3000` unless told otherwise. Connect a client, such as
//! `sockeye connect http://localhost:3000`, cut its network, and mend it within half a minute.

use std::time::Duration;

use sockeye::{ConfigError, DisconnectReason, RecoveryConfig, Server, ServerConfig, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "http://localhost:3000".to_owned());
    let io = app()?;
    let listener = io.listen(url).await?;
    println!("listening on {}", listener.url());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for tick in 0_u64.. {
        second.tick().await;
        io.to("ticker").emit("tick", tick)?;
    }
    Ok(())
}

/// The server, which listens nowhere yet: tests begin with it, too.
fn app() -> Result<Server, ConfigError> {
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
    Ok(io)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sockeye::testing;

    use super::app;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    #[tokio::test(start_paused = true)]
    async fn ticks_are_missed_only_by_who_is_away_for_too_long() -> Result {
        let app = testing::Server::new(app()?);
        let client = app.connect("/").await?;
        let tick = async |n: u64| {
            app.to("ticker").emit("tick", n)?;
            testing::pass(Duration::from_secs(1)).await;
            Ok::<_, sockeye::EmitError>(())
        };
        tick(0).await?;
        client.network().down();
        for n in 1..10 {
            tick(n).await?;
        }
        client.network().up();
        client.until_connected().await;
        assert!(client.recovered());
        for n in 0..10 {
            assert_eq!(client.next::<u64>("tick").await, n);
        }

        client.network().down();
        for n in 10..60 {
            tick(n).await?;
        }
        client.network().up();
        client.until_connected().await;
        assert!(!client.recovered());
        tick(60).await?;
        assert_eq!(client.next::<u64>("tick").await, 60);
        Ok(())
    }
}
