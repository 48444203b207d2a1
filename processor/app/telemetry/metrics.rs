//! Every metric, defined in one place: the field, its name, its type, its labels, its meaning.
//!
//! Names: prefix `rollcall_`, base units, `_total` for counters. `METRICS.md` beside this file is made from these
//! definitions (`rollcall config --describe=metrics`); a test compares.
//!
//! To add one: a line in [`metrics!`], and the place in `driver` that moves it, once per batch or flush.

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// What a metric is, as the table has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Definition {
    /// Its full name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels' names.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// Time that a request to a service takes.
const REQUEST_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Time that grows with the state.
const RESTORE_SECONDS: &[f64] = &[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
];
/// From half a second, which is a healthy pipeline, to a day, which is a backfill.
const LAG_SECONDS: &[f64] = &[
    0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0,
];
/// Rows or records that are written together.
const ROWS: &[f64] = &[1.0, 10.0, 100.0, 1_000.0, 10_000.0, 50_000.0, 100_000.0];

macro_rules! vector {
    (counter) => {
        IntCounterVec
    };
    (gauge) => {
        GaugeVec
    };
    (histogram $buckets:ident) => {
        HistogramVec
    };
}

macro_rules! make {
    (counter, $name:literal, $help:literal, $labels:expr) => {
        IntCounterVec::new(Opts::new($name, $help), $labels)
    };
    (gauge, $name:literal, $help:literal, $labels:expr) => {
        GaugeVec::new(Opts::new($name, $help), $labels)
    };
    (histogram $buckets:ident, $name:literal, $help:literal, $labels:expr) => {
        HistogramVec::new(
            HistogramOpts::new($name, $help).buckets($buckets.to_vec()),
            $labels,
        )
    };
}

macro_rules! metrics {
    ($($field:ident = $kind:ident $($buckets:ident)?, $name:literal, [$($label:literal),*], $help:literal;)*) => {
        /// The numbers of one process, in a registry of their own.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: vector!($kind $($buckets)?),)*
        }

        /// Every metric, in the order of `METRICS.md`.
        pub const TABLE: &[Definition] = &[$(Definition {
            name: $name,
            kind: stringify!($kind),
            labels: &[$($label),*],
            help: $help,
        },)*];

        impl Metrics {
            /// All at zero.
            ///
            /// # Panics
            /// If two definitions contradict each other, which every test that makes one would show.
            #[must_use]
            pub fn new() -> Self {
                let metrics = Self {
                    registry: Registry::new(),
                    $($field: make!($kind $($buckets)?, $name, $help, &[$($label),*]).expect("a sound definition"),)*
                };
                $(metrics.register(Box::new(metrics.$field.clone()));)*
                metrics
            }
        }
    };
}

metrics! {
    records_received = counter, "rollcall_records_received_total", ["stage"],
        "Input records in committed transactions of a stage, or in stored flushes of a lane of SINK.";
    records_emitted = counter, "rollcall_records_emitted_total", ["stage", "topic"],
        "Records written in committed transactions, by topic.";
    records_rejected = counter, "rollcall_records_rejected_total", ["stage", "reason"],
        "Raw records rejected whole in committed transactions, by reason (each is a dead letter); messages of internal topics that SINK could not read (unreadable).";
    snapshots = counter, "rollcall_snapshots_total", ["outcome"],
        "Raw records in committed transactions of NORMALIZE: accepted, duplicate or rejected.";
    lines = counter, "rollcall_lines_total", ["outcome"],
        "Lines (processes) of accepted snapshots in committed transactions of NORMALIZE: accepted or rejected.";
    values_null = counter, "rollcall_values_null_total", ["reason"],
        "Accepted lines that show a value which could not be read for certain and is null, by reason (utc_offset_missing: start times are local and the machine sends no offset; `rollcall normalize` says which line).";
    consumer_lag_records = gauge, "rollcall_consumer_lag_records", ["stage", "partition"],
        "Offsets between what is committed or stored of an input partition and its end.";
    consumer_lag_seconds = gauge, "rollcall_consumer_lag_seconds", ["stage", "partition"],
        "How old the oldest record may be that is not committed or stored, at most; 0 when there is none.";
    retention_headroom_seconds = gauge, "rollcall_retention_headroom_seconds", ["stage", "partition"],
        "Time until the input topic's retention.ms deletes what a stage has not read, at least; +Inf where the topic keeps everything.";
    retention_headroom_records = gauge, "rollcall_retention_headroom_records", ["stage", "partition"],
        "Offsets between the beginning of the input's log and what is committed or stored: below 0, retention has overtaken the stage.";
    stage_time_seconds = gauge, "rollcall_stage_time_seconds", ["stage", "partition"],
        "Stage time, as seconds since 1970: the broker's clock as far as a task has come, or its rollups are stored. Windows close by ROLLUP's.";
    event_time_lag_seconds = histogram LAG_SECONDS, "rollcall_event_time_lag_seconds", [],
        "From a snapshot's event time to its rows being stored, per stored snapshot; by this machine's clock.";
    freshness_seconds = gauge, "rollcall_freshness_seconds", ["tables"],
        "How far behind the tables that this process writes are, at most: details and dead_letters behind their topics, rollups behind the broker's clock, NORMALIZE and ROLLUP included.";
    commit_seconds = histogram REQUEST_SECONDS, "rollcall_commit_seconds", ["stage"],
        "Time to write and commit one transaction to Kafka.";
    transactions = counter, "rollcall_transactions_total", ["stage", "outcome"],
        "Transactions: committed, aborted, fenced (a newer owner has the task) or unknown (the next claim will tell).";
    flush_seconds = histogram REQUEST_SECONDS, "rollcall_flush_seconds", ["lane"],
        "Time of one flush to PostgreSQL that was stored.";
    flushes = counter, "rollcall_flushes_total", ["lane", "outcome"],
        "Flushes to PostgreSQL: stored, fenced, failed or unknown (the next claim will tell).";
    sink_fenced = counter, "rollcall_sink_fenced_total", ["lane"],
        "Partitions that a lane lost to another sink's claim.";
    batch_rows = histogram ROWS, "rollcall_batch_rows", ["stage"],
        "Records written in one transaction of a stage, or rows written in one flush of a lane of SINK.";
    state_entries = gauge, "rollcall_state_entries", ["stage", "partition"],
        "Entries of a task's state: machines (normalize), rollups of open windows (rollup).";
    state_bytes = gauge, "rollcall_state_bytes", ["stage", "partition"],
        "Bytes of a task's state in memory, about.";
    restore_seconds = histogram RESTORE_SECONDS, "rollcall_restore_seconds", ["stage"],
        "Time from the beginning of a task's claim until it runs.";
    restored_records = counter, "rollcall_restored_records_total", ["stage"],
        "Records of state topics read by restores.";
    tasks = gauge, "rollcall_tasks", ["stage", "status"],
        "Tasks, or partitions of a lane of SINK, of this process: starting, running, waiting (tried again) or halted (a person is needed).";
    tasks_lost = counter, "rollcall_tasks_lost_total", ["stage", "reason"],
        "Times that a task dropped its state to claim it again, by reason.";
    service_up = gauge, "rollcall_service_up", ["service"],
        "Whether kafka, postgres and the registry answered when last asked: 1 or 0.";
    corrections = counter, "rollcall_corrections_total", [],
        "Rollups of closed windows that ROLLUP has corrected.";
    corrected_rows = counter, "rollcall_corrected_rows_total", [],
        "Rows that SINK has read, merged and written back for corrections.";
    windows_closed_early = counter, "rollcall_windows_closed_early_total", [],
        "Rollups whose window was closed before its time, for the limit on open windows was reached.";
    contributions_not_counted = counter, "rollcall_contributions_not_counted_total", [],
        "Contributions to windows that began before their grain was configured.";
    expired = counter, "rollcall_expired_total", ["lane"],
        "Snapshots, rollups and dead letters older than what the tables keep, counted and not stored.";
    machines_moved = counter, "rollcall_machines_moved_total", [],
        "Machines seen on another raw partition than before: producers use different partitioners, so duplicates and CPU deltas may be missed.";
    ledger_difference = gauge, "rollcall_ledger_difference", ["partition", "kind"],
        "What the books of a raw partition lack: snapshots_unaccounted, snapshots_missing, lines_missing, lines_rejected_missing. Anything but 0 is loss or duplication.";
    build_info = gauge, "rollcall_build_info", ["version"],
        "1, with the version that runs.";
}

impl Metrics {
    fn register(&self, metric: Box<dyn Collector>) {
        self.registry
            .register(metric)
            .expect("no two metrics share a name");
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// If the encoder fails, which would be its fault.
    pub fn render(&self) -> prometheus::Result<String> {
        let mut families = self.registry.gather();
        families.extend(super::process::gather());
        let text = prometheus::TextEncoder::new().encode_to_string(&families)?;
        // The encoder writes infinity as Rust does; the format's word is another.
        Ok(text.replace(" inf\n", " +Inf\n"))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self::new();
        // What has no labels, or labels that are known from the start, is there from the start.
        let version = env!("CARGO_PKG_VERSION");
        metrics.build_info.with_label_values(&[version]).set(1.0);
        for counter in [
            &metrics.corrections,
            &metrics.corrected_rows,
            &metrics.windows_closed_early,
            &metrics.contributions_not_counted,
            &metrics.machines_moved,
        ] {
            counter.with_label_values::<&str>(&[]);
        }
        metrics
            .event_time_lag_seconds
            .with_label_values::<&str>(&[]);
        metrics
    }
}

/// The table for people, in Markdown.
#[must_use]
pub fn table() -> String {
    let mut text = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for definition in TABLE.iter().chain(super::process::TABLE) {
        let labels = definition.labels.join(", ");
        let Definition {
            name, kind, help, ..
        } = definition;
        text.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for definition in TABLE {
            let Definition { name, kind, .. } = *definition;
            assert!(name.starts_with("rollcall_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            assert!(
                !["_ms", "_us", "_millis", "_kb"]
                    .iter()
                    .any(|unit| name.ends_with(unit)),
                "{name} is not in base units"
            );
            assert!(definition.help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn the_table_is_the_code_s() {
        assert_eq!(table(), include_str!("METRICS.md"));
    }

    #[test]
    fn no_label_grows_with_the_fleet() {
        const ALLOWED: &[&str] = &[
            "stage",
            "topic",
            "reason",
            "outcome",
            "partition",
            "tables",
            "lane",
            "status",
            "service",
            "kind",
            "version",
        ];
        for definition in TABLE {
            for label in definition.labels {
                assert!(ALLOWED.contains(label), "{}: {label}", definition.name);
            }
        }
    }

    #[test]
    fn what_has_no_labels_is_there_from_the_start() {
        let text = Metrics::default().render().expect("it renders");
        for name in [
            "rollcall_corrections_total 0",
            "rollcall_event_time_lag_seconds_count 0",
            "rollcall_build_info{version=",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
}
