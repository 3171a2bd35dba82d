//! Sockets as other servers see them.

use sockeye_adapter::SocketDetails;

use crate::Socket;

/// What other servers may know of a socket.
pub(crate) fn of(socket: &Socket) -> SocketDetails {
    let mut details = SocketDetails::new(socket.id().to_owned());
    details.handshake = socket.handshake().details();
    details.rooms = socket.rooms();
    if let Some(data) = socket.shared_data() {
        details.data = data;
    }
    details
}
