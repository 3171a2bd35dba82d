//! The table at the end.

use std::fmt;

use super::{nodes::Peer, scenarios::Scenario};
use crate::report::{median, spread};

/// What one run of a scenario has given, by name.
pub(super) struct Numbers(pub(super) Vec<(&'static str, f64)>);

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "; " };
            write!(f, "{comma}{name} {value:.3}")?;
        }
        Ok(())
    }
}

/// All numbers of all rounds.
#[derive(Default)]
pub(super) struct Report(Vec<Entry>);

struct Entry {
    round: usize,
    row: Row,
    peer: Peer,
    value: f64,
}

#[derive(Clone, PartialEq, Eq)]
struct Row {
    engine: String,
    scenario: Scenario,
    name: &'static str,
}

impl Report {
    pub(super) fn add(
        &mut self,
        round: usize,
        engine: &str,
        scenario: Scenario,
        peer: Peer,
        numbers: Numbers,
    ) {
        for (name, value) in numbers.0 {
            let row = Row {
                engine: engine.to_owned(),
                scenario,
                name,
            };
            self.0.push(Entry {
                round,
                row,
                peer,
                value,
            });
        }
    }

    fn values(&self, row: &Row, peer: Peer) -> impl Iterator<Item = &Entry> + Clone {
        let entries = self.0.iter();
        entries.filter(move |entry| entry.row == *row && entry.peer == peer)
    }

    /// The median of the ratios of each round.
    fn ratio(&self, row: &Row) -> Option<f64> {
        median(self.values(row, Peer::Sockeye).filter_map(|ours| {
            let mut theirs = self.values(row, Peer::Node);
            let theirs = theirs.find(|theirs| theirs.round == ours.round)?;
            Some(ours.value / theirs.value)
        }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<&Row> = Vec::new();
        for Entry { row, .. } in &self.0 {
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        writeln!(
            f,
            "\n{:<16} {:<9} {:<22} {:>10} {:>19} {:>10} {:>19} {:>7}",
            "engine", "scenario", "what", "sockeye", "spread", "node", "spread", "/node"
        )?;
        for row in rows {
            let (engine, scenario) = (&row.engine, row.scenario.name());
            write!(f, "{engine:<16} {scenario:<9} {:<22}", row.name)?;
            for peer in Peer::ALL {
                let values = self.values(row, peer).map(|entry| entry.value);
                match median(values.clone()) {
                    Some(middle) => write!(f, " {middle:>10.3} {:>19}", spread(values))?,
                    None => write!(f, " {:>10} {:>19}", "–", "–")?,
                }
            }
            let ratio = self.ratio(row).map(|ratio| format!("{ratio:.3}"));
            writeln!(f, " {:>7}", ratio.as_deref().unwrap_or("–"))?;
        }
        Ok(())
    }
}
