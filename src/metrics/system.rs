//! Numbers that the operating system keeps of the process and of the database's disk, read at each scrape.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The metrics of a process by the names that Prometheus' own client libraries give them.
#[derive(Debug)]
pub(super) struct Process {
    /// Unix seconds. Taken once: computed anew from the boot time it would move with the clock, and look like
    /// a restart.
    started: f64,
}

impl Process {
    /// To be made first of all.
    #[expect(clippy::disallowed_types, reason = "a metric has fractions of a second")]
    pub(super) fn new() -> Self {
        let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self { started: started.map_or(0.0, |since| since.as_secs_f64()) }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let e = &mut encoder;
        gauge(
            e,
            "process_start_time",
            "Start of the process, in Unix time",
            Some(&Unit::Seconds),
            Some(self.started),
        )?;
        counter(
            e,
            "process_cpu",
            "Processor time used, of user and system",
            Some(&Unit::Seconds),
            cpu_seconds(),
        )?;
        let memory = memory_bytes();
        gauge(
            e,
            "process_resident_memory",
            "Memory in use",
            Some(&Unit::Bytes),
            memory.map(|(_, resident)| resident),
        )?;
        gauge(
            e,
            "process_virtual_memory",
            "Address space in use",
            Some(&Unit::Bytes),
            memory.map(|(size, _)| size),
        )?;
        gauge(
            e,
            "process_open_fds",
            "Open file descriptors",
            None,
            open_descriptors().map(|open| open as f64),
        )?;
        let limit = getrlimit(Resource::Nofile).current;
        gauge(
            e,
            "process_max_fds",
            "Limit on open file descriptors",
            None,
            Some(limit.map_or(f64::INFINITY, |limit| limit as f64)),
        )
    }
}

/// The disk that the database lies on, where that is one of this machine's.
#[derive(Debug, Default)]
pub(super) struct Disk {
    path: OnceLock<PathBuf>,
}

impl Disk {
    pub(super) fn watch(&self, path: &Path) {
        // The first word counts: a process has one database.
        let _ = self.path.set(path.to_owned());
    }
}

impl Collector for Disk {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let about = self.path.get().and_then(|path| statvfs(path).ok());
        // What an unprivileged process may take.
        let free = about.as_ref().map(|disk| (disk.f_bavail * disk.f_frsize) as f64);
        let size = about.as_ref().map(|disk| (disk.f_blocks * disk.f_frsize) as f64);
        gauge(
            &mut encoder,
            "disk_free",
            "Free space on the disk of the SQLite database",
            Some(&Unit::Bytes),
            free,
        )?;
        gauge(&mut encoder, "disk_size", "Size of the disk of the SQLite database", Some(&Unit::Bytes), size)
    }
}

/// A family without a sample where there is no value.
fn gauge(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: Option<impl EncodeGaugeValue>,
) -> fmt::Result {
    let metric = value.map(ConstGauge::new);
    let family =
        encoder.encode_descriptor(name, help, unit, prometheus_client::metrics::MetricType::Gauge)?;
    metric.map_or(Ok(()), |metric| metric.encode(family))
}

fn counter(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: impl EncodeCounterValue,
) -> fmt::Result {
    let family =
        encoder.encode_descriptor(name, help, unit, prometheus_client::metrics::MetricType::Counter)?;
    ConstCounter::new(value).encode(family)
}

fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Address space and resident memory.
fn memory_bytes() -> Option<(f64, f64)> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut bytes = pages
        .split_whitespace()
        .map_while(|n| Some(n.parse::<f64>().ok()? * rustix::param::page_size() as f64));
    Some((bytes.next()?, bytes.next()?))
}

/// Number of open descriptors; `None` where the system does not say.
pub fn open_descriptors() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    // Since Linux 6.2 the folder's size is their number; to read it takes 50 ms with 250 000 of them.
    match std::fs::metadata(FOLDER).ok()?.len() {
        0 => Some(std::fs::read_dir(FOLDER).ok()?.count() as u64),
        open => Some(open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_that_are_opened_are_counted() {
        let before = open_descriptors().unwrap();
        let opened: Vec<_> = (0..200).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close some meanwhile.
        let now = open_descriptors().unwrap();
        assert!((before + 150..before + 250).contains(&now), "{before} {now} {}", opened.len());
    }

    #[test]
    fn memory_and_time_are_those_of_the_process() {
        let (size, resident) = memory_bytes().unwrap();
        assert!(size > resident && resident > 1e6, "{size} {resident}");
        let before = cpu_seconds();
        let mut spun = 0_u64;
        while cpu_seconds() < before + 0.01 {
            spun = std::hint::black_box(spun + 1);
        }
        assert!(spun > 0);
    }
}
