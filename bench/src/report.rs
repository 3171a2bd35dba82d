//! The tables at the end.

use std::fmt;

use crate::{
    scenarios::{Contest, Sample, Scenario},
    server::Kind,
};

/// All samples of all rounds.
#[derive(Default)]
pub(crate) struct Report(Vec<Entry>);

struct Entry {
    round: usize,
    scenario: Scenario,
    kind: Kind,
    sample: Sample,
}

/// One number of a sample, if it has such a one.
type Number = fn(Sample) -> Option<f64>;

impl Report {
    pub(crate) fn add(&mut self, round: usize, scenario: Scenario, kind: Kind, sample: Sample) {
        self.0.push(Entry {
            round,
            scenario,
            kind,
            sample,
        });
    }

    fn samples(&self, scenario: Scenario, kind: Kind) -> impl Iterator<Item = &Entry> + Clone {
        self.0
            .iter()
            .filter(move |entry| entry.scenario == scenario && entry.kind == kind)
    }

    /// Median of the ratios of each round: what slows the machine for a while slows both sides of a ratio.
    fn ratio(&self, scenario: Scenario, kind: Kind, to: Kind, number: Number) -> Option<f64> {
        let ratios = self.samples(scenario, kind).filter_map(|entry| {
            let mut others = self.samples(scenario, to);
            let other = others.find(|other| other.round == entry.round)?;
            Some(number(entry.sample)? / number(other.sample)?)
        });
        median(ratios)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for contest in Contest::ALL {
            for table in [&CPU, &ROUND_TRIP, &MEMORY] {
                self.table(f, contest, table)?;
            }
        }
        Ok(())
    }
}

/// A number with its spread and its ratios, and others behind it.
struct Table {
    title: &'static str,
    number: Number,
    others: &'static [Column],
}

struct Column {
    title: fn(Contest) -> &'static str,
    width: usize,
    show: fn(f64) -> String,
    number: Number,
}

const CPU: Table = Table {
    title: "µs CPU",
    number: |sample| Some(sample.cpu()?.micros),
    others: &[
        Column {
            title: |_| "per s",
            width: 10,
            show: |rate| format!("{rate:.0}"),
            number: |sample| Some(sample.cpu()?.rate),
        },
        Column {
            title: measured,
            width: 7,
            show: percent,
            number: |sample| Some(sample.cpu()?.busy),
        },
        Column {
            title: load,
            width: 7,
            show: percent,
            number: |sample| Some(sample.cpu()?.load_busy),
        },
    ],
};

const ROUND_TRIP: Table = Table {
    title: "µs time",
    number: |sample| match sample {
        Sample::RoundTrip { micros, .. } => Some(micros),
        Sample::Cpu(_) | Sample::Memory { .. } => None,
    },
    others: &[],
};

const MEMORY: Table = Table {
    title: "KiB dirty",
    number: |sample| match sample {
        Sample::Memory { private_dirty, .. } => Some(private_dirty),
        Sample::Cpu(_) | Sample::RoundTrip { .. } => None,
    },
    others: &[Column {
        title: |_| "KiB RSS",
        width: 10,
        show: |resident| format!("{resident:.2}"),
        number: |sample| match sample {
            Sample::Memory { resident, .. } => Some(resident),
            Sample::Cpu(_) | Sample::RoundTrip { .. } => None,
        },
    }],
};

/// What is measured.
fn measured(contest: Contest) -> &'static str {
    match contest {
        Contest::Servers | Contest::Compressed | Contest::Streams => "server",
        Contest::Clients => "client",
    }
}

/// What gives it something to do.
fn load(contest: Contest) -> &'static str {
    match contest {
        Contest::Servers | Contest::Compressed | Contest::Streams => "load",
        Contest::Clients => "server",
    }
}

/// The two that the others are compared with, and the titles of these columns.
fn references(contest: Contest) -> [(&'static str, Kind); 2] {
    match contest {
        Contest::Servers => [("/oxide", Kind::Socketioxide), ("/floor", Kind::Floor)],
        Contest::Compressed => [("/plain", Kind::SockeyePlain), ("/node", Kind::Node)],
        Contest::Streams => [("/tokio", Kind::Tokio), ("/node-net", Kind::NodeNet)],
        Contest::Clients => [("/rust_sio", Kind::RustSocketio), ("/node", Kind::Node)],
    }
}

impl Report {
    /// Prints those scenarios of this contest that have such a number.
    fn table(&self, f: &mut fmt::Formatter<'_>, contest: Contest, table: &Table) -> fmt::Result {
        let number = table.number;
        let references = references(contest);
        let scenarios = Scenario::ALL
            .into_iter()
            .filter(|scenario| scenario.contest() == contest);
        let rows = scenarios.flat_map(|scenario| Kind::ALL.map(|kind| (scenario, kind)));
        let mut headed = false;
        for (scenario, kind) in rows {
            let samples = self.samples(scenario, kind).map(|entry| entry.sample);
            let values = samples.clone().filter_map(number);
            let Some(middle) = median(values.clone()) else {
                continue;
            };
            if !headed {
                write!(
                    f,
                    "\n{:<18} {:<13} {:>9} {:>17}",
                    "scenario",
                    measured(contest),
                    table.title,
                    "spread"
                )?;
                write!(f, " {:>9} {:>10}", references[0].0, references[1].0)?;
                for column in table.others {
                    write!(f, " {:>1$}", (column.title)(contest), column.width)?;
                }
                writeln!(f)?;
                headed = true;
            }
            let [first, second] = references.map(|(_, to)| {
                self.ratio(scenario, kind, to, number)
                    .map_or_else(|| String::from("–"), |ratio| format!("{ratio:.3}"))
            });
            write!(
                f,
                "{:<18} {:<13} {middle:>9.3} {:>17} {first:>9} {second:>10}",
                scenario.name(),
                kind.name(),
                spread(values),
            )?;
            for column in table.others {
                let value = median(samples.clone().filter_map(column.number));
                let value = value.map_or_else(|| String::from("–"), column.show);
                write!(f, " {value:>0$}", column.width)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values[low] + values[high]) / 2.0)
}

pub(crate) fn spread(values: impl Iterator<Item = f64> + Clone) -> String {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::NEG_INFINITY, f64::max);
    format!("{least:.3}–{most:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_even_and_odd_counts() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([].into_iter()), None);
    }

    #[test]
    fn ratio_compares_within_a_round() {
        let mut report = Report::default();
        for (round, pace) in [(1, 1.0), (2, 10.0)] {
            for (kind, value) in [(Kind::Sockeye, 1.0), (Kind::Socketioxide, 4.0)] {
                let sample = Sample::Memory {
                    private_dirty: value * pace,
                    resident: 0.0,
                };
                report.add(round, Scenario::Idle, kind, sample);
            }
        }
        let (kind, to) = (Kind::Sockeye, Kind::Socketioxide);
        let ratio = report.ratio(Scenario::Idle, kind, to, MEMORY.number);
        assert_eq!(ratio, Some(0.25));
    }
}
