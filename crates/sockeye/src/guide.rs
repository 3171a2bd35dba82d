//! The guide: a chapter for each subject. The modules have no items.

#[doc = include_str!("../docs/acknowledgements.md")]
pub mod acknowledgements {}
#[cfg_attr(feature = "admin", doc = include_str!("../docs/admin.md"))]
#[cfg_attr(
    not(feature = "admin"),
    doc = "A page that shows what a server does. This chapter is there with the feature `admin`."
)]
pub mod admin {}
#[doc = include_str!("../docs/arguments.md")]
pub mod arguments {}
#[doc = include_str!("../docs/client.md")]
pub mod client {}
#[cfg_attr(feature = "emitter", doc = include_str!("../docs/cluster.md"))]
#[cfg_attr(
    not(feature = "emitter"),
    doc = "Several servers as one. This chapter is there with the feature `emitter`."
)]
pub mod cluster {}
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
#[doc = include_str!("../docs/observability.md")]
pub mod observability {}
#[doc = include_str!("../docs/old-clients.md")]
pub mod old_clients {}
#[doc = include_str!("../docs/parsers.md")]
pub mod parsers {}
#[doc = include_str!("../docs/recovery.md")]
pub mod recovery {}
#[doc = include_str!("../docs/rooms.md")]
pub mod rooms {}
#[doc = include_str!("../docs/streams.md")]
pub mod streams {}
#[cfg_attr(feature = "testing", doc = include_str!("../docs/testing.md"))]
#[cfg_attr(
    not(feature = "testing"),
    doc = "Tests of applications. This chapter is there with the feature `testing`."
)]
pub mod testing {}
#[cfg_attr(feature = "macros", doc = include_str!("../docs/typed.md"))]
#[cfg_attr(
    not(feature = "macros"),
    doc = "Typed events. This chapter is there with the feature `macros`."
)]
pub mod typed {}

#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../tests/typed-compile-fail.md")]
mod typed_compile_fail {}
