//! CPU time, of a thread, of children, of a child that still runs. The machine may be shared: wall time
//! tells of the neighbours too.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Nanoseconds that this thread was on a CPU while `work` ran, and what it gave.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = read(ClockId::CLOCK_THREAD_CPUTIME_ID);
    let result = std::hint::black_box(work());
    let end = read(ClockId::CLOCK_THREAD_CPUTIME_ID);
    ((end - start) * 1e9, result)
}

/// User and system time, in nanoseconds, of the children that were started and waited for in `work`.
pub(crate) fn timed_children<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let spent = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("Linux tells of children");
        let us = |time: TimeVal| time.num_microseconds();
        us(usage.user_time()) + us(usage.system_time())
    };
    let start = spent();
    let result = work();
    ((spent() - start) as f64 * 1e3, result)
}

/// User and system time so far, in nanoseconds, of a process that was not yet waited for.
pub(crate) fn cpu_of(process: u32) -> f64 {
    let pid = Pid::from_raw(i32::try_from(process).expect("a process id"));
    let clock = ClockId::pid_cpu_clock_id(pid).expect("the process is there");
    read(clock) * 1e9
}

/// Seconds.
fn read(clock: ClockId) -> f64 {
    let time = clock_gettime(clock).expect("Linux has this clock");
    Duration::from(time).as_secs_f64()
}
