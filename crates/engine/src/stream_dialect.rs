/// What is spoken on a bare stream (`tcp`, `tls` and `unix` URLs).
///
/// A client speaks `Native` unless set otherwise, and a listener expects `Auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamDialect {
    /// Engine.IO 4 packets in length-prefixed frames.
    #[default]
    Native,
    /// Lines of JSON, as the peers of `net-socket.io` speak.
    Lines,
    /// Whatever the peer speaks.
    ///
    /// A client speaks packets; and lines, on another connection, if the server answers in lines,
    /// does not answer within three seconds, or hangs up on packets but not on a connection without
    /// any. A refusal is an answer, and an error.
    ///
    /// A listener looks at the first byte, and takes who says nothing
    /// for some time for one who speaks lines.
    Auto,
}
