//! Time on the cores of a process.
//!
//! Read from `/proc`, so on Linux only; elsewhere there is no figure, and none is made up.

use std::fs;

/// User and system time that a process has used of all cores, in microseconds: to the hundredth of a second.
pub fn used_us(pid: u32) -> Option<u64> {
    used_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The kernel counts in ticks, of which a second has 100 on every architecture that we know.
fn used_of(stat: &str) -> Option<u64> {
    const TICK_US: u64 = 10_000;
    // The program's name stands in parentheses and may have spaces; user time is the 12th field after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    user.checked_add(system)?.checked_mul(TICK_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added_whatever_the_program_is_called() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 5 6 20 0 1 0 100 1000 10";
        assert_eq!(used_of(stat), Some(420_000));
        assert_eq!(used_of("7 (a) S 1"), None);
    }
}
