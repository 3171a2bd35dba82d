//! What the page `@socket.io/admin-ui` has to know of a server, and what it may do there.
//!
//! [`instrument`] adds a namespace to a server, `/admin`, to which the page connects. There it is told what the server is
//! doing, and may emit events, move sockets between rooms and disconnect them. It is the counterpart of the function of the
//! same name of the npm package, whose page it serves: the page itself is in that package, and at
//! <https://admin.socket.io>.
//!
//! A server that is not instrumented has none of this. What it costs otherwise is said in the chapter `admin` of the guide.

mod access;
mod attempts;
mod config;
mod date;
mod figures;
mod instrument;
mod orders;
mod seen;
mod sessions;
mod shown;
mod view;
mod watch;

pub use config::{AdminConfig, Credentials, HashError, Mode};
pub use instrument::{InstrumentError, instrument};
pub use sessions::{MemorySessions, SessionStore};
