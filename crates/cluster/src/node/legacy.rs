//! What servers ask for in words that Node's adapters have had for long: which sockets and rooms there are, and something to
//! be done with one socket. They count this server, and wait for its answer.

use std::sync::Arc;

use sockeye_adapter::{Local, Target};
use sockeye_cluster_proto::Value;
use sockeye_cluster_proto::legacy::{LegacyAnswer, LegacyRequest};

/// Does what is asked. `None` where somebody else answers, or nobody.
pub(super) fn obey(local: &dyn Local, what: LegacyRequest) -> Option<LegacyAnswer> {
    Some(match what {
        LegacyRequest::SocketIds { rooms } => {
            let sockets = local.sockets(&Target::all().to(&rooms));
            LegacyAnswer::SocketIds(sockets.into_iter().map(|socket| socket.id.into()).collect())
        }
        LegacyRequest::AllRooms => LegacyAnswer::Rooms(local.rooms()),
        LegacyRequest::RoomsOf { socket } => {
            let target = Target::all().to(&socket);
            let mut sockets = local.sockets(&target).into_iter();
            let found = sockets.find(|found| *found.id == *socket)?;
            LegacyAnswer::Rooms(found.rooms.into_iter().map(Into::into).collect())
        }
        LegacyRequest::Join { socket, room } => {
            local.join(&alone(local, &socket)?, &[room]);
            LegacyAnswer::Done
        }
        LegacyRequest::Leave { socket, room } => {
            local.leave(&alone(local, &socket)?, &[room]);
            LegacyAnswer::Done
        }
        LegacyRequest::Disconnect { socket, close } => {
            local.disconnect(&alone(local, &socket)?, close);
            LegacyAnswer::Done
        }
        // Each server is to say something, which is this where an application has nothing to say.
        LegacyRequest::Custom { .. } => LegacyAnswer::Custom(Value::new(&()).ok()),
        _ => return None,
    })
}

/// The socket with this id, and nobody else who is in a room of that name; `None` if it is not here.
fn alone(local: &dyn Local, id: &Arc<str>) -> Option<Target> {
    let target = Target::all().to(id);
    let sockets = local.sockets(&target);
    let others = sockets.iter().filter(|socket| *socket.id != **id);
    let others: Vec<_> = others.map(|socket| socket.id.clone()).collect();
    (others.len() < sockets.len()).then(|| target.except(others))
}
