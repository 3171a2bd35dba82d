//! What is counted, and told every two seconds.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use serde::Serialize;
use sockeye_meter::Totals;
use sockeye_server::Server;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::Mode;
use crate::date::Date;
use crate::shown::Shown;
use crate::watch;

/// How this server is called, and by whom it is run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    server_id: String,
    hostname: String,
    pid: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerStats<'a> {
    #[serde(flatten)]
    identity: &'a Identity,
    uptime: f64,
    clients_count: usize,
    polling_clients_count: u64,
    aggregated_events: Vec<Bucket>,
    namespaces: Vec<NamespaceStats>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NamespaceStats {
    name: String,
    sockets_count: usize,
}

/// So many of something in one second.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket {
    /// When it began, in milliseconds since 1970.
    timestamp: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_type: Option<&'static str>,
    count: u64,
}

/// Makes buckets of what was counted.
#[derive(Debug)]
struct Sampler {
    last: Totals,
    buckets: VecDeque<Bucket>,
}

const PERIOD: Duration = Duration::from_secs(1);

/// Figures are told with each of so many periods.
const PERIODS: usize = 2;

/// More have never been waiting: there are a dozen kinds, and they are taken every two seconds.
const MAX_BUCKETS: usize = 64;

/// Of namespaces that clients may have made as many as they like.
const MAX_NAMESPACES: usize = 1000;

/// The time that counts as that of the process's beginning.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Identity {
    pub(crate) fn new(server_id: Option<&str>) -> Self {
        let (hostname, pid) = (hostname(), std::process::id());
        LazyLock::force(&BEGINNING);
        Self {
            server_id: server_id.map_or_else(|| format!("{hostname}#{pid}"), str::to_owned),
            hostname,
            pid,
        }
    }
}

/// Tells figures for as long as somebody watches, and the server is there: what is counted from this call on, not only from
/// the task's first turn. It must be [to begin](Shown::is_to_begin).
pub(crate) fn tell(
    shown: Weak<Shown>,
    identity: Arc<Identity>,
    mode: Mode,
) -> impl Future<Output = ()> + Send {
    let sampler = Sampler::new(sockeye_meter::totals());
    tell_from(sampler, shown, identity, mode)
}

async fn tell_from(mut sampler: Sampler, shown: Weak<Shown>, identity: Arc<Identity>, mode: Mode) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        for period in 0..PERIODS {
            ticks.tick().await;
            let Some(shown) = shown.upgrade() else {
                return;
            };
            if !shown.goes_on() {
                return;
            }
            sampler.sample(sockeye_meter::totals(), Date::now());
            if period > 0 {
                continue;
            }
            let Some(io) = shown.server.upgrade() else {
                return;
            };
            shown.tell("server_stats", stats(&io, &identity, &mut sampler));
            if mode == Mode::Development {
                watch::changed_data(&io, &shown);
            }
        }
    }
}

fn stats<'a>(io: &Server, identity: &'a Identity, sampler: &mut Sampler) -> ServerStats<'a> {
    let namespaces = io.namespaces().into_iter().map(|namespace| NamespaceStats {
        sockets_count: namespace.socket_count(),
        name: namespace.name().to_owned(),
    });
    let mut namespaces: Vec<_> = namespaces.collect();
    namespaces.sort_unstable_by(|a, b| {
        let by_size = b.sockets_count.cmp(&a.sockets_count);
        by_size.then_with(|| a.name.cmp(&b.name))
    });
    namespaces.truncate(MAX_NAMESPACES);
    ServerStats {
        identity,
        uptime: BEGINNING.elapsed().as_secs_f64(),
        clients_count: io.connection_count(),
        polling_clients_count: sampler.last.polling,
        aggregated_events: sampler.buckets.drain(..).collect(),
        namespaces,
    }
}

impl Sampler {
    const fn new(last: Totals) -> Self {
        Self {
            last,
            buckets: VecDeque::new(),
        }
    }

    /// These have been counted by now.
    fn sample(&mut self, now: Totals, date: Date) {
        let last = std::mem::replace(&mut self.last, now);
        let now = self.last.clone();
        for (kind, before, after) in [
            ("rawConnection", last.opened, now.opened),
            ("packetsIn", last.packets_received, now.packets_received),
            ("bytesIn", last.bytes_received, now.bytes_received),
            ("packetsOut", last.packets_sent, now.packets_sent),
            ("bytesOut", last.bytes_sent, now.bytes_sent),
        ] {
            self.push(date, kind, None, after.saturating_sub(before));
        }
        for ((reason, after), (_, before)) in now.closed.iter().zip(&last.closed) {
            let count = after.saturating_sub(*before);
            self.push(date, "rawDisconnection", Some(reason), count);
        }
    }

    fn push(&mut self, date: Date, kind: &'static str, sub_type: Option<&'static str>, count: u64) {
        if count == 0 {
            return;
        }
        let timestamp = date.second();
        let is_same = |bucket: &&mut Bucket| {
            (bucket.timestamp, bucket.kind, bucket.sub_type) == (timestamp, kind, sub_type)
        };
        if let Some(bucket) = self.buckets.iter_mut().find(is_same) {
            bucket.count += count;
            return;
        }
        if self.buckets.len() == MAX_BUCKETS {
            self.buckets.pop_front();
        }
        self.buckets.push_back(Bucket {
            timestamp,
            kind,
            sub_type,
            count,
        });
    }
}

/// What the machine is called, as far as it can be known without asking the C library.
fn hostname() -> String {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let file = || {
        files
            .iter()
            .find_map(|file| std::fs::read_to_string(file).ok())
    };
    let variable = || {
        ["HOSTNAME", "COMPUTERNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok())
    };
    let name = file().or_else(variable).unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
