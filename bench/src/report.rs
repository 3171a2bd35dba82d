//! The table at the end.

use std::fmt;

use crate::{
    scenarios::{Sample, Scenario},
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
    fn ratio(&self, scenario: Scenario, kind: Kind, to: Kind) -> Option<f64> {
        let ratios = self.samples(scenario, kind).filter_map(|entry| {
            let mut others = self.samples(scenario, to);
            let other = others.find(|other| other.round == entry.round)?;
            Some(entry.sample.value() / other.sample.value())
        });
        median(ratios)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ran = |scenario| self.0.iter().any(|entry| entry.scenario == scenario);
        let cpu: Vec<Scenario> = Scenario::ALL
            .into_iter()
            .filter(|&scenario| scenario != Scenario::Idle && ran(scenario))
            .collect();
        if !cpu.is_empty() {
            self.cpu_table(f, &cpu)?;
        }
        if ran(Scenario::Idle) {
            self.memory_table(f)?;
        }
        Ok(())
    }
}

impl Report {
    fn cpu_table(&self, f: &mut fmt::Formatter<'_>, scenarios: &[Scenario]) -> fmt::Result {
        writeln!(
            f,
            "\n{:<18} {:<13} {:>9} {:>17} {:>9} {:>10} {:>10} {:>7} {:>7}",
            "scenario", "server", "µs CPU", "spread", "/oxide", "/floor", "per s", "server", "load"
        )?;
        for &scenario in scenarios {
            for kind in Kind::ALL {
                let samples = self.samples(scenario, kind);
                let micros = samples.clone().map(|entry| entry.sample.value());
                let Some(middle) = median(micros.clone()) else {
                    continue;
                };
                let of = |field: fn(Sample) -> f64| {
                    median(samples.clone().map(|entry| field(entry.sample))).unwrap_or(f64::NAN)
                };
                writeln!(
                    f,
                    "{:<18} {:<13} {:>9.3} {:>17} {:>9} {:>10} {:>10.0} {:>6.0}% {:>6.0}%",
                    scenario.name(),
                    kind.name(),
                    middle,
                    spread(micros),
                    ratio(self.ratio(scenario, kind, Kind::Socketioxide)),
                    ratio(self.ratio(scenario, kind, Kind::Floor)),
                    of(|sample| cpu_fields(sample).0),
                    of(|sample| cpu_fields(sample).1) * 100.0,
                    of(|sample| cpu_fields(sample).2) * 100.0,
                )?;
            }
        }
        Ok(())
    }

    fn memory_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<18} {:<13} {:>9} {:>17} {:>9} {:>10} {:>10}",
            "scenario", "server", "KiB dirty", "spread", "/oxide", "/floor", "KiB RSS"
        )?;
        for kind in Kind::ALL {
            let samples = self.samples(Scenario::Idle, kind);
            let dirty = samples.clone().map(|entry| entry.sample.value());
            let Some(middle) = median(dirty.clone()) else {
                continue;
            };
            let resident = samples.filter_map(|entry| match entry.sample {
                Sample::Memory { resident, .. } => Some(resident),
                Sample::Cpu { .. } => None,
            });
            writeln!(
                f,
                "{:<18} {:<13} {:>9.2} {:>17} {:>9} {:>10} {:>10.2}",
                Scenario::Idle.name(),
                kind.name(),
                middle,
                spread(dirty),
                ratio(self.ratio(Scenario::Idle, kind, Kind::Socketioxide)),
                ratio(self.ratio(Scenario::Idle, kind, Kind::Floor)),
                median(resident).unwrap_or(f64::NAN),
            )?;
        }
        Ok(())
    }
}

fn cpu_fields(sample: Sample) -> (f64, f64, f64) {
    match sample {
        Sample::Cpu {
            rate,
            server_busy,
            load_busy,
            ..
        } => (rate, server_busy, load_busy),
        Sample::Memory { .. } => (f64::NAN, f64::NAN, f64::NAN),
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values[low] + values[high]) / 2.0)
}

fn spread(values: impl Iterator<Item = f64> + Clone) -> String {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::NEG_INFINITY, f64::max);
    format!("{least:.3}–{most:.3}")
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| String::from("–"), |value| format!("{value:.3}"))
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
        let ratio = report.ratio(Scenario::Idle, Kind::Sockeye, Kind::Socketioxide);
        assert_eq!(ratio, Some(0.25));
    }
}
