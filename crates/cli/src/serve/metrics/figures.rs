use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata, Recorder,
    SharedString, Unit,
};
use parking_lot::Mutex;

/// What is counted and measured, as a page in the text format of Prometheus.
///
/// The crates that do the same bring twenty others along, for what this server has no need of: its metrics are few, no peer
/// can make new ones, and so none has ever to be forgotten.
#[derive(Clone)]
pub(super) struct Figures(Arc<Shelf>);

struct Shelf {
    /// The bounds of everything that is measured.
    bounds: &'static [f64],
    texts: Mutex<HashMap<KeyName, SharedString>>,
    /// By name and labels, as a page has them.
    figures: Mutex<BTreeMap<Key, Figure>>,
}

#[derive(Clone)]
enum Figure {
    Counter(Arc<AtomicU64>),
    /// The bits of a number.
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<Buckets>),
}

struct Buckets {
    bounds: &'static [f64],
    /// How many values were not above each bound, but above the one before; at last those above all.
    counts: Box<[AtomicU64]>,
    /// The bits of the values' sum.
    sum: AtomicU64,
}

impl Figures {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self(Arc::new(Shelf {
            bounds,
            texts: Mutex::default(),
            figures: Mutex::default(),
        }))
    }

    /// All of them as they are now.
    pub(super) fn page(&self) -> String {
        let figures = self.0.figures.lock().clone();
        let texts = self.0.texts.lock();
        let mut page = String::new();
        let mut last = "";
        for (key, figure) in &figures {
            let name = key.name();
            if name != last {
                last = name;
                if let Some(text) = texts.get(name) {
                    let text = Escaped {
                        text,
                        quotes: false,
                    };
                    line(&mut page, format_args!("# HELP {name} {text}"));
                }
                line(&mut page, format_args!("# TYPE {name} {}", figure.kind()));
            }
            figure.write(&mut page, key);
        }
        page
    }

    fn describe(&self, name: KeyName, text: SharedString) {
        self.0.texts.lock().insert(name, text);
    }

    /// The figure of this name and these labels, which is made if there is none.
    fn figure(&self, key: &Key, new: impl FnOnce() -> Figure) -> Figure {
        let mut figures = self.0.figures.lock();
        if let Some(figure) = figures.get(key) {
            return figure.clone();
        }
        let figure = new();
        figures.insert(key.clone(), figure.clone());
        figure
    }
}

impl Recorder for Figures {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(name, text);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(name, text);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(name, text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.figure(key, || Figure::Counter(Arc::default())) {
            Figure::Counter(counter) => Counter::from_arc(counter),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.figure(key, || Figure::Gauge(Arc::default())) {
            Figure::Gauge(gauge) => Gauge::from_arc(gauge),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let bounds = self.0.bounds;
        match self.figure(key, || Figure::Histogram(Arc::new(Buckets::new(bounds)))) {
            Figure::Histogram(buckets) => Histogram::from_arc(buckets),
            _ => Histogram::noop(),
        }
    }
}

impl Figure {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    fn write(&self, page: &mut String, key: &Key) {
        let (name, labels) = (key.name(), Labels { key, bound: None });
        match self {
            Self::Counter(counter) => {
                let count = counter.load(Ordering::Relaxed);
                line(page, format_args!("{name}{labels} {count}"));
            }
            Self::Gauge(gauge) => {
                let value = f64::from_bits(gauge.load(Ordering::Relaxed));
                line(page, format_args!("{name}{labels} {value}"));
            }
            Self::Histogram(buckets) => {
                let bounds = buckets.bounds.iter().map(|bound| Some(*bound));
                let mut count = 0;
                for (bound, more) in bounds.chain([None]).zip(&buckets.counts) {
                    count += more.load(Ordering::Relaxed);
                    let bound = Some(bound);
                    let labels = Labels { key, bound };
                    line(page, format_args!("{name}_bucket{labels} {count}"));
                }
                let sum = f64::from_bits(buckets.sum.load(Ordering::Relaxed));
                line(page, format_args!("{name}_sum{labels} {sum}"));
                line(page, format_args!("{name}_count{labels} {count}"));
            }
        }
    }
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        GaugeFn::increment(&self.sum, value);
    }
}

/// The labels of a line, with the bound of a bucket if it is one; that of the last is none.
struct Labels<'k> {
    key: &'k Key,
    bound: Option<Option<f64>>,
}

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = '{';
        for label in self.key.labels() {
            let (name, value) = (Label::key(label), Label::value(label));
            let value = Escaped {
                text: value,
                quotes: true,
            };
            write!(f, "{before}{name}=\"{value}\"")?;
            before = ',';
        }
        match self.bound {
            Some(Some(bound)) => write!(f, "{before}le=\"{bound}\"}}"),
            Some(None) => write!(f, "{before}le=\"+Inf\"}}"),
            None if before == ',' => f.write_char('}'),
            None => Ok(()),
        }
    }
}

/// A text in a line.
struct Escaped<'t> {
    text: &'t str,
    quotes: bool,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match c {
                '\\' => f.write_str(r"\\")?,
                '\n' => f.write_str(r"\n")?,
                '"' if self.quotes => f.write_str("\\\"")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn line(page: &mut String, text: fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = writeln!(page, "{text}");
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;

    use super::*;

    #[test]
    fn page_is_in_the_text_format_of_prometheus() {
        let figures = Figures::new(&[0.001, 1.0]);
        with_local_recorder(&figures, || {
            metrics::describe_counter!("opened_total", "What was\nopened, in \\ and \"quotes\".");
            metrics::counter!("opened_total", "by" => "a \"b\" \\\n", "n" => "2").increment(2);
            metrics::counter!("opened_total", "by" => "c", "n" => "1").increment(1);
            metrics::counter!("opened_total", "by" => "c", "n" => "1").increment(4);
            metrics::gauge!("open").increment(3.5);
            metrics::gauge!("open").decrement(1.0);
            let seconds = metrics::histogram!("took_seconds");
            for value in [0.0005, 0.001, 0.25, 5.0] {
                seconds.record(value);
            }
        });
        let expected = r#"# TYPE open gauge
open 2.5
# HELP opened_total What was\nopened, in \\ and "quotes".
# TYPE opened_total counter
opened_total{by="a \"b\" \\\n",n="2"} 2
opened_total{by="c",n="1"} 5
# TYPE took_seconds histogram
took_seconds_bucket{le="0.001"} 2
took_seconds_bucket{le="1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 5.2515
took_seconds_count 4
"#;
        assert_eq!(figures.page(), expected);
    }

    #[test]
    fn nothing_is_an_empty_page() {
        assert_eq!(Figures::new(&[]).page(), "");
    }
}
