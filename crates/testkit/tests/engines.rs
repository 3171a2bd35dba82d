//! Engines start where nobody else is, and again where they were.

#![cfg(unix)]

use std::net::TcpStream;

use sockeye_testkit::engines::{self, Engine};

fn try_engine(engine: Option<Engine>) {
    let Some(mut engine) = engine else {
        return;
    };
    let address = ("127.0.0.1", engine.port());
    assert!(TcpStream::connect(address).is_ok());
    engine.stop();
    assert!(TcpStream::connect(address).is_err());
    engine.start();
    assert!(TcpStream::connect(address).is_ok());
    drop(engine);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn redis_starts_and_stops() {
    try_engine(engines::redis("start"));
}

#[test]
fn redis_cluster_starts_and_stops() {
    try_engine(engines::redis_cluster("start"));
}

#[test]
fn redis_cluster_with_replicas_starts_and_stops() {
    try_engine(engines::redis_cluster_with_replicas("start"));
}

#[test]
fn redis_sentinel_starts_and_stops() {
    try_engine(engines::redis_sentinel("start"));
}

#[test]
fn valkey_starts_and_stops() {
    try_engine(engines::valkey("start"));
}

#[test]
fn postgres_starts_and_stops() {
    try_engine(engines::postgres("start"));
}

#[test]
fn mongo_starts_and_stops() {
    try_engine(engines::mongo("start"));
}

#[test]
fn nats_starts_and_stops() {
    try_engine(engines::nats("start"));
}
