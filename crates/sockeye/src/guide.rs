//! The guide: a chapter for each subject. The modules have no items.

#[doc = include_str!("../docs/acknowledgements.md")]
pub mod acknowledgements {}
#[doc = include_str!("../docs/arguments.md")]
pub mod arguments {}
#[doc = include_str!("../docs/client.md")]
pub mod client {}
#[doc = include_str!("../docs/compression.md")]
pub mod compression {}
#[doc = include_str!("../docs/embedding.md")]
pub mod embedding {}
#[doc = include_str!("../docs/from-rust-socketio.md")]
pub mod from_rust_socketio {}
#[doc = include_str!("../docs/from-socket-io-client.md")]
pub mod from_socket_io_client {}
#[doc = include_str!("../docs/handlers.md")]
pub mod handlers {}
#[doc = include_str!("../docs/lifecycle.md")]
pub mod lifecycle {}
#[doc = include_str!("../docs/limits.md")]
pub mod limits {}
#[doc = include_str!("../docs/namespaces.md")]
pub mod namespaces {}
#[doc = include_str!("../docs/net-socket-io.md")]
pub mod net_socket_io {}
#[doc = include_str!("../docs/parsers.md")]
pub mod parsers {}
#[doc = include_str!("../docs/recovery.md")]
pub mod recovery {}
#[doc = include_str!("../docs/rooms.md")]
pub mod rooms {}
#[doc = include_str!("../docs/streams.md")]
pub mod streams {}
#[cfg_attr(feature = "macros", doc = include_str!("../docs/typed.md"))]
#[cfg_attr(
    not(feature = "macros"),
    doc = "Typed events. This chapter is there with the feature `macros`."
)]
pub mod typed {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../tests/typed-compile-fail.md")]
mod typed_compile_fail {}
