//! Scripts: what a client decides, in virtual time, without a runtime, a thread and a socket of the system.

mod attempts;
mod events;
mod joining;
mod world;
