//! What came out, for people and for machines.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use sockeye::client::TransportKind;

use super::load::Load;
use super::options::BenchOptions;
use super::progress::per_second;
use super::{grouped, human};
use crate::escape::escape;
use crate::report::{BOLD, DIM, Exit};
use crate::shown;
use crate::units::Size;

/// The results of one run.
#[derive(Serialize)]
pub(super) struct Results {
    /// Without what may be a secret.
    url: String,
    transport: Option<&'static str>,
    event: String,
    connections: usize,
    in_flight: usize,
    size: usize,
    binary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    seconds: f64,
    answered: u64,
    answered_per_second: u64,
    timeouts: u64,
    failed: u64,
    lost_connections: usize,
    /// Absent if nothing was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<Latency>,
}

/// How long answers took, in microseconds.
#[derive(Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p999: f64,
    max: f64,
}

impl Results {
    /// `measured` is how long it took, and how much was answered in that time.
    pub(super) fn new(
        options: &BenchOptions,
        transport: Option<TransportKind>,
        measured: (Duration, u64),
        load: &Load,
    ) -> Self {
        let (elapsed, answered) = measured;
        let (errors, latency) = (load.errors(), load.latency());
        let options = (&options.peer, &options.load);
        Self {
            url: shown::url(&options.0.url).into_owned(),
            transport: transport.map(TransportKind::name),
            event: options.1.event.clone(),
            connections: options.1.connections.get(),
            in_flight: options.1.in_flight.get(),
            size: options.1.size.0,
            binary: options.1.binary,
            rate: options.1.rate,
            seconds: elapsed.as_secs_f64(),
            answered,
            answered_per_second: per_second(answered, elapsed),
            timeouts: errors.timeouts,
            failed: errors.failed,
            lost_connections: errors.lost,
            latency_us: (!latency.is_empty()).then(|| Latency::new(&latency)),
        }
    }

    pub(super) const fn exit(&self) -> Exit {
        if self.lost_connections > 0 {
            Exit::Disconnected
        } else if self.latency_us.is_none() {
            Exit::NoAnswer
        } else {
            Exit::Success
        }
    }
}

impl Latency {
    fn new(nanos: &Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "three digits of it are right")]
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let at = |quantile| micros(nanos.value_at_quantile(quantile));
        Self {
            mean: nanos.mean().round() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(nanos.max()),
        }
    }

    /// The columns of the table.
    const fn columns(&self) -> [(&'static str, f64); 6] {
        [
            ("mean", self.mean),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p999),
            ("max", self.max),
        ]
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = self.transport.unwrap_or("a lost connection");
        writeln!(f, "{BOLD}{}{BOLD:#} by {transport}", escape(&self.url))?;
        let payload = match self.binary {
            true => "of bytes",
            false => "of text",
        };
        let (event, size) = (escape(&self.event), Size(self.size));
        let (connections, in_flight) =
            (grouped_size(self.connections), grouped_size(self.in_flight));
        write!(
            f,
            "{DIM}connections {connections}, in flight each {in_flight}, {event} with {size} {payload}"
        )?;
        if let Some(rate) = self.rate {
            write!(f, ", {rate}/s")?;
        }
        writeln!(f, ", {:.1} s{DIM:#}\n", self.seconds)?;

        let (answered, rate) = (grouped(self.answered), grouped(self.answered_per_second));
        writeln!(f, "  answered     {answered:>12}   {BOLD}{rate}/s{BOLD:#}")?;
        for (what, count) in [
            ("timeouts", self.timeouts),
            ("failed", self.failed),
            ("lost", self.lost_connections as u64),
        ] {
            if count > 0 || what == "timeouts" {
                writeln!(f, "  {what:<12} {:>12}", grouped(count))?;
            }
        }
        let Some(latency) = &self.latency_us else {
            return Ok(());
        };
        write!(f, "\n  {DIM}latency")?;
        for (name, _) in latency.columns() {
            write!(f, "{name:>10}")?;
        }
        write!(f, "{DIM:#}\n         ")?;
        for (_, micros) in latency.columns() {
            let time = human(Duration::from_secs_f64(micros / 1e6));
            write!(f, "{time:>10}")?;
        }
        writeln!(f)
    }
}

fn grouped_size(number: usize) -> String {
    grouped(number as u64)
}
