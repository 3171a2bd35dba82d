//! The metrics by name.

use metrics::Unit;

/// What a metric is called, and what it says.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it is recorded.
    pub kind: Kind,
    /// In what.
    pub unit: Unit,
    /// The names of its labels. Their values come from lists of the library: no peer can make new ones.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub text: &'static str,
}

/// How a metric is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Many values, of which how often each has come is interesting.
    Histogram,
}

pub(super) const OPENED: &str = "sockeye_connections_opened_total";
pub(super) const CONNECTIONS: &str = "sockeye_connections";
pub(super) const UPGRADES: &str = "sockeye_upgrades_total";
pub(super) const CLOSED: &str = "sockeye_connections_closed_total";
pub(super) const REFUSED: &str = "sockeye_handshakes_refused_total";
pub(super) const SOCKETS: &str = "sockeye_sockets";
pub(super) const NAMESPACES: &str = "sockeye_namespaces";
pub(super) const ROOMS: &str = "sockeye_rooms";
pub(super) const EVENTS_RECEIVED: &str = "sockeye_events_received_total";
pub(super) const EVENTS_SENT: &str = "sockeye_events_sent_total";
pub(super) const RECEIVED_BYTES: &str = "sockeye_received_bytes_total";
pub(super) const SENT_BYTES: &str = "sockeye_sent_bytes_total";
pub(super) const OUTBOX_BYTES: &str = "sockeye_outbox_bytes";
pub(super) const ACKS_PENDING: &str = "sockeye_acks_pending";
pub(super) const ACKS_TIMED_OUT: &str = "sockeye_acks_timed_out_total";
pub(super) const HANDLER_SECONDS: &str = "sockeye_handler_seconds";
pub(super) const RECOVERY: &str = "sockeye_recovery_total";

/// All that there are.
pub const METRICS: &[Metric] = &[
    counter(
        OPENED,
        &["transport", "revision"],
        "Sessions that were opened, by the transport they began on.",
    ),
    Metric {
        labels: &["transport", "revision"],
        ..gauge(
            CONNECTIONS,
            "Sessions that are open, by the transport that carries them.",
        )
    },
    counter(
        UPGRADES,
        &["transport"],
        "Sessions that have gone over to another transport.",
    ),
    counter(
        CLOSED,
        &["reason"],
        "Sessions that were closed, by the reason that disconnect handlers are told.",
    ),
    counter(
        REFUSED,
        &["reason"],
        "Requests and streams that did not get a session.",
    ),
    gauge(SOCKETS, "Sockets that are connected to namespaces."),
    gauge(NAMESPACES, "Namespaces that there are."),
    gauge(
        ROOMS,
        "Rooms that somebody is in, apart from the one that each socket has to itself.",
    ),
    counter(EVENTS_RECEIVED, &[], "Events that have come from peers."),
    counter(
        EVENTS_SENT,
        &[],
        "Events that were sent, one for each receiver.",
    ),
    bytes(counter(
        RECEIVED_BYTES,
        &[],
        "Bytes of WebSockets, bare streams and bodies of requests that were read.",
    )),
    bytes(counter(
        SENT_BYTES,
        &[],
        "Bytes of WebSockets, bare streams and answers to polls that were written.",
    )),
    bytes(gauge(
        OUTBOX_BYTES,
        "Bytes that wait for peers to take them.",
    )),
    gauge(ACKS_PENDING, "Acknowledgements that are waited for."),
    counter(
        ACKS_TIMED_OUT,
        &[],
        "Acknowledgements that did not come in time.",
    ),
    Metric {
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        ..gauge(
            HANDLER_SECONDS,
            "How long handlers of events took, from the call to the end.",
        )
    },
    counter(
        RECOVERY,
        &["outcome"],
        "Sockets that were kept when their connections were lost, that came back and that did not.",
    ),
];

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    text: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels,
        text,
    }
}

const fn gauge(name: &'static str, text: &'static str) -> Metric {
    Metric {
        kind: Kind::Gauge,
        ..counter(name, &[], text)
    }
}

const fn bytes(metric: Metric) -> Metric {
    Metric {
        unit: Unit::Bytes,
        ..metric
    }
}

/// Tells the recorder what there is.
pub(super) fn describe() {
    for &Metric {
        name,
        kind,
        unit,
        text,
        ..
    } in METRICS
    {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, unit, text),
            Kind::Gauge => metrics::describe_gauge!(name, unit, text),
            Kind::Histogram => metrics::describe_histogram!(name, unit, text),
        }
    }
}
