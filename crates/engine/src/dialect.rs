/// What a session's peer speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Engine.IO packets, on whichever transport; on a bare stream in length-prefixed frames.
    #[default]
    Packets,
    /// Lines of text, each a message of its own, as plain peers (those of `net-socket.io`) send them
    /// on a TCP or Unix-domain socket. They come as bytes, and are sent as texts that end with CR LF.
    Lines,
}
