//! The two events on socketioxide, set up as its README does, with its defaults.

use serde_json::Value;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};

use crate::Result;

#[tokio::main]
pub(crate) async fn serve(address: &str) -> Result<()> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", on_connect);
    let app = axum::Router::new().layer(layer);
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn on_connect(socket: SocketRef) {
    socket.on("echo", async |Data::<Value>(value), ack: AckSender| {
        ack.send(&value).ok();
    });
    socket.on("cast", async |io: SocketIo, Data::<Value>(value)| {
        io.emit("cast", &value).await.ok();
    });
}
