//! What the operating system knows of this process, under the names that all exporters use. Where there is no `/proc`,
//! nothing.

use std::fs;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};

use super::text::{Seconds, Text};

static BEGAN: OnceLock<DateTime<Utc>> = OnceLock::new();

pub(super) fn began(at: DateTime<Utc>) {
    BEGAN.get_or_init(|| at);
}

pub(super) fn write(text: &mut Text) {
    if let Some(began) = BEGAN.get() {
        let at = Seconds(began.timestamp_micros());
        text.gauge("process_start_time_seconds", "When this process began, seconds since 1970.", at);
    }
    if let Some(bytes) = resident() {
        text.gauge("process_resident_memory_bytes", "Memory this process occupies.", bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        text.gauge("process_open_fds", "Files and sockets this process has open.", open.count());
    }
    if let Some(limit) = open_limit() {
        text.gauge("process_max_fds", "Files and sockets this process may have open.", limit);
    }
    if let Some(us) = cpu_us() {
        text.counter("process_cpu_seconds_total", "Time this process has used of all cores.", Seconds(us));
    }
}

/// Bytes: `VmRSS` of the status, which the kernel gives in kB whatever the size of a page.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn open_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// User and system time. The kernel counts them in ticks, of which a second has 100 on every architecture that we know.
fn cpu_us() -> Option<i64> {
    const TICK_US: i64 = 10_000;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name stands in parentheses and may have spaces; user time is the 12th field after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<i64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    user.checked_add(system)?.checked_mul(TICK_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_files_and_has_worked() {
        assert!(resident().unwrap() > 1024 * 1024);
        assert!(open_limit().unwrap() > 3);
        let before = cpu_us().unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_millis(60);
        while std::time::Instant::now() < end {}
        let used = cpu_us().unwrap() - before;
        assert!((10_000..10_000_000).contains(&used), "{used} us");
    }
}
