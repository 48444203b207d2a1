//! Numbers of the process itself, under the names that Prometheus' clients use everywhere. Linux only: elsewhere there
//! are none.

use super::metrics::Definition;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

/// What [`gather`] gives.
pub(super) const TABLE: &[Definition] = &[
    of(
        "process_cpu_seconds_total",
        "counter",
        "CPU time that the process has used.",
    ),
    of(
        "process_resident_memory_bytes",
        "gauge",
        "Memory that the process holds.",
    ),
    of("process_open_fds", "gauge", "Open file descriptors."),
    of("process_threads", "gauge", "Threads."),
];

const fn of(name: &'static str, kind: &'static str, help: &'static str) -> Definition {
    Definition {
        name,
        kind,
        labels: &[],
        help,
    }
}

/// The numbers as they are now; none where the kernel does not tell.
pub(super) fn gather() -> Vec<MetricFamily> {
    let Some(values) = read() else {
        return Vec::new();
    };
    let families = TABLE.iter().zip(values).map(|(definition, value)| {
        let options = Opts::new(definition.name, definition.help);
        Ok(match definition.kind {
            "counter" => {
                let counter = Counter::with_opts(options)?;
                counter.inc_by(value);
                counter.collect()
            }
            _ => {
                let gauge = Gauge::with_opts(options)?;
                gauge.set(value);
                gauge.collect()
            }
        })
    });
    families
        .filter_map(prometheus::Result::ok)
        .flatten()
        .collect()
}

/// Clock ticks per second in what the kernel tells programs: fixed, whatever it uses itself.
const USER_HZ: f64 = 100.0;

/// In the table's order.
fn read() -> Option<[f64; 4]> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name in parentheses, which may hold anything: what follows begins after the last one.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..]
        .split_ascii_whitespace()
        .collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<f64>().ok()
    };
    let descriptors = std::fs::read_dir("/proc/self/fd").ok()?.count();
    Some([
        (ticks(14)? + ticks(15)?) / USER_HZ,
        line("VmRSS:")? * 1024.0,
        descriptors as f64,
        line("Threads:")?,
    ])
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_threads_and_descriptors() {
        let [cpu, memory, descriptors, threads] = read().expect("Linux tells");
        assert!(cpu >= 0.0 && memory > 1e6 && descriptors >= 3.0 && threads >= 1.0);
        let names: Vec<String> = gather()
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        let expect: Vec<&str> = TABLE.iter().map(|definition| definition.name).collect();
        assert_eq!(names, expect);
    }
}
