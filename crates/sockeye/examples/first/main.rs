//! The first program of the README, word for word: a server, and the page that talks to it.
//!
//! ```text
//! cargo run --example first
//! ```

use sockeye::{Data, ListenOptions, Server, Socket, StaticFile};

#[rustfmt::skip] // It is as short as the README wants it.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("http://localhost:3000");
    let io = Server::new();

    io.on_connect(|socket: Socket| println!("connected: {socket:?}"));

    // Everyone in the room gets the text, but for the one who sent it.
    io.on("chat", async |socket: Socket, Data((room, text)): Data<(String, String)>| {
        socket.join(&room);
        socket.to(room).emit("chat", text)
    });

    // What a handler returns is the acknowledgement.
    io.on("sum", async |Data(numbers): Data<Vec<i64>>| numbers.iter().sum::<i64>());

    // The page is for whoever opens the URL in a browser.
    let page = StaticFile::new("", "text/html; charset=utf-8", include_str!("index.html"));
    let options = ListenOptions::default();
    let mut listener = io.listen_service(url, options, page).await?;
    println!("open {}", listener.url());
    listener.closed().await;
    Ok(())
}
