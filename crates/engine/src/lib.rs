//! Engine.IO sessions and transports on tokio.
