use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// A stream of whichever kind.
pub type BoxStream = Box<dyn Stream>;
