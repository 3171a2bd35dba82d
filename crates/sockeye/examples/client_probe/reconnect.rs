//! What a client does when its server crashes and comes back.

use sockeye::{DisconnectReason, SocketConfig, json};

use super::peer::{Inbox, Peer, same};
use super::{CaseResult, Probe};

pub(super) async fn with_namespaces(probe: &Probe) -> CaseResult {
    let mut root = Peer::connect(probe).await?;
    let auth = json!({ "n": "1" });
    let config = SocketConfig::default().auth(&auth)?;
    let mut custom = root.join("/custom", config).await?;
    custom.expect(Inbox::Auth, &auth).await?;
    outlive_server(&mut [&mut root, &mut custom]).await?;
    custom.expect(Inbox::Auth, &auth).await?;
    root.finish(probe).await
}

pub(super) async fn over_lines(probe: &Probe) -> CaseResult {
    let mut peer = Peer::connect(probe).await?;
    // A server that speaks packets as well knows only by the first line whom it has before it.
    peer.echo(&"first".to_owned()).await?;
    outlive_server(&mut [&mut peer]).await?;
    peer.finish(probe).await
}

/// What is emitted while the server is gone arrives as soon as it is back.
async fn outlive_server(peers: &mut [&mut Peer]) -> CaseResult {
    for peer in &mut *peers {
        peer.connected().await?;
    }
    println!("restart");
    for peer in &mut *peers {
        let reason = peer.ended().await?;
        let lost = [
            DisconnectReason::TransportClose,
            DisconnectReason::TransportError,
        ];
        if !lost.contains(&reason) {
            return Err(format!("disconnected: {reason}").into());
        }
        same(&peer.socket.active(), &true, "active")?;
        peer.socket.emit("message", "meanwhile")?;
        same(&peer.socket.waiting_events(), &1, "events that wait")?;
    }
    for peer in peers {
        peer.connected().await?;
        let meanwhile = "meanwhile".to_owned();
        peer.expect(Inbox::Messages, &meanwhile).await?;
        peer.echo(&"again".to_owned()).await?;
    }
    Ok(())
}
