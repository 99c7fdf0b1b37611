//! Peak memory of a process, and what the machine has.
//!
//! Read from `/proc`, so on Linux only; elsewhere there is no figure, and none is made up.

use std::fs;

/// The largest resident size a process has had so far, in MB (1,000,000 bytes, rounded up).
///
/// `None` when there is no such process, it has ended, or the system has no `/proc`.
pub fn peak_mb(pid: u32) -> Option<u64> {
    peak_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// What the machine has, in MB (1,000,000 bytes, rounded up).
pub fn machine_mb() -> Option<u64> {
    value_of(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

fn peak_of(status: &str) -> Option<u64> {
    value_of(status, "VmHWM:")
}

fn value_of(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib.checked_mul(1024)?.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_told_in_megabytes_rounded_up() {
        assert_eq!(peak_of("Name:\tx\nVmPeak:\t  900000 kB\nVmHWM:\t  195313 kB\nVmRSS:\t 1 kB\n"), Some(201));
        assert_eq!(peak_of("VmHWM:\t 0 kB"), Some(0));
        assert_eq!(peak_of("Name:\tkthreadd\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_stays_after_memory_was_given_back() {
        let pid = std::process::id();
        let before = peak_mb(pid).unwrap();
        drop(std::hint::black_box(vec![1u8; 200_000_000]));
        assert!(peak_mb(pid).unwrap() >= before.max(200));
        assert_eq!(peak_mb(u32::MAX), None);
    }
}
