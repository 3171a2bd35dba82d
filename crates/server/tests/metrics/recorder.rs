//! A recorder that can be asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use sockeye_meter::METRICS;
use tokio::sync::MutexGuard;

/// What was recorded: by name and labels, as in `name{label=value,…}`. Of histograms, how often.
#[derive(Clone, Copy)]
pub(crate) struct Recorded(&'static Table);

#[derive(Default)]
struct Table(Mutex<BTreeMap<String, Arc<Cell>>>);

struct Cell {
    is_gauge: bool,
    value: Mutex<f64>,
}

/// The recorder of the process, for one test at a time: it has only one.
pub(crate) async fn recorded() -> (Recorded, MutexGuard<'static, ()>) {
    static TABLE: OnceLock<&'static Table> = OnceLock::new();
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = TURN.lock().await;
    let table = TABLE.get_or_init(|| {
        let table: &Table = Box::leak(Box::default());
        metrics::set_global_recorder(table).unwrap_or_else(|_| panic!("there is another one"));
        table
    });
    (Recorded(table), turn)
}

impl Recorded {
    /// The value of one series, or the sum of all whose names or first labels begin like this.
    pub(crate) fn sum(self, prefix: &str) -> f64 {
        let table = self.0.0.lock().unwrap();
        let series = table.iter().filter(|(key, _)| match prefix.contains('{') {
            true => key.starts_with(prefix),
            false => key.split('{').next() == Some(prefix),
        });
        series.map(|(_, cell)| *cell.value.lock().unwrap()).sum()
    }

    /// The gauges that are not zero.
    pub(crate) fn gauges(self) -> Vec<(String, f64)> {
        let table = self.0.0.lock().unwrap();
        let gauges = table.iter().filter(|(_, cell)| cell.is_gauge);
        gauges
            .map(|(key, cell)| (key.clone(), *cell.value.lock().unwrap()))
            .filter(|(_, value)| *value != 0.0)
            .collect()
    }

    /// How many series there are.
    pub(crate) fn len(self) -> usize {
        self.0.0.lock().unwrap().len()
    }
}

impl Table {
    fn cell(&self, key: &Key, is_gauge: bool) -> Arc<Cell> {
        let labels = key.labels().map(|label| (label.key(), label.value()));
        let labels: Vec<_> = labels.collect();
        let known = METRICS.iter().find(|metric| metric.name == key.name());
        let known = known.unwrap_or_else(|| panic!("{key} is in no table"));
        assert!(
            labels
                .iter()
                .map(|(name, _)| *name)
                .eq(known.labels.iter().copied())
        );
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let name = match labels.is_empty() {
            true => key.name().to_owned(),
            false => format!("{}{{{}}}", key.name(), labels.join(",")),
        };
        let mut table = self.0.lock().unwrap();
        let cell = table.entry(name).or_insert_with(|| {
            Arc::new(Cell {
                is_gauge,
                value: Mutex::new(0.0),
            })
        });
        Arc::clone(cell)
    }
}

impl Cell {
    fn add(&self, value: f64) {
        *self.value.lock().unwrap() += value;
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _: u64) {
        unreachable!("everything is counted");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
        assert!(*self.value.lock().unwrap() >= 0.0, "more went than came");
    }

    fn set(&self, _: f64) {
        unreachable!("servers share gauges");
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        assert!(value >= 0.0);
        self.add(1.0);
    }
}

impl Recorder for Table {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key, false))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key, true))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key, false))
    }
}
