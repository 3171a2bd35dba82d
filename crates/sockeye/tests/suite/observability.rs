//! The guide's chapter says what there is.

use sockeye_meter::METRICS;

const CHAPTER: &str = include_str!("../../docs/observability.md");

#[test]
fn every_metric_is_in_the_guide_with_its_unit_and_labels() {
    let told: Vec<_> = CHAPTER
        .lines()
        .filter(|line| line.starts_with("| `sockeye_"))
        .collect();
    let there: Vec<_> = METRICS
        .iter()
        .map(|metric| {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let (name, unit, text) = (metric.name, metric.unit.as_str(), metric.text);
            let labels: Vec<_> = metric
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let labels = labels.join(", ");
            format!("| `{name}` | {kind} | {unit} | {labels} | {text} |")
        })
        .collect();
    assert_eq!(told, there);
}
