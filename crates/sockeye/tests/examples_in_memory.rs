//! The tests that examples have in their own files, all in one program: each is there to be read beside what it tests.

#![expect(dead_code, reason = "nobody calls the `main` of an example here")]

#[path = "../examples/auth.rs"]
mod auth;
#[path = "../examples/chat.rs"]
mod chat;
#[path = "../examples/dynamic_namespaces.rs"]
mod dynamic_namespaces;
#[path = "../examples/recovery.rs"]
mod recovery;
#[path = "../examples/rooms.rs"]
mod rooms;
