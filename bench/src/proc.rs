//! What the kernel knows about processes: CPU time, memory, cores, limits.

use std::{fs, io, time::Duration};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

use crate::Result;

/// User and system time of all threads of a process.
///
/// From `schedstat`, which counts nanoseconds; `stat` counts ticks of 10 ms. A thread that ended takes its time with
/// it, which none here has while it is measured.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = match fs::read_to_string(task?.path().join("schedstat")) {
            Ok(stat) => stat,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let running = stat.split(' ').next().unwrap_or_default();
        nanoseconds += running.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// User and system time of this process.
pub(crate) fn own_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Resident memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// Pages that are the process's alone and written to: what it really costs.
    pub(crate) private_dirty: f64,
}

pub(crate) fn memory_of(pid: u32) -> Result<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| -> Result<f64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.split_whitespace().next());
        let value = value.ok_or_else(|| format!("smaps_rollup has no field {name}"))?;
        Ok(value.parse()?)
    };
    Ok(Memory {
        resident: field("Rss:")?,
        private_dirty: field("Private_Dirty:")?,
    })
}

/// Lets this process and its children have as many files open as the system allows.
pub(crate) fn raise_file_limit() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// What a process is here for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Measured,
    /// It gives what is measured something to do.
    Load,
}

/// The core for what is measured and the core for the load.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    measured: usize,
    load: usize,
}

impl Cores {
    pub(crate) fn find() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let measured = cores.next().ok_or("no core to run on")?;
        let load = cores.next().unwrap_or_else(|| {
            eprintln!("warning: only one core; the load disturbs what is measured");
            measured
        });
        Ok(Self { measured, load })
    }

    /// Runs `start` on one of the cores, so that the child it starts inherits that core, and comes back to the
    /// load's. This needs no hook between fork and exec and leaves no moment at which the child runs elsewhere.
    pub(crate) fn start<T>(self, part: Part, start: impl FnOnce() -> io::Result<T>) -> Result<T> {
        pin(match part {
            Part::Measured => self.measured,
            Part::Load => self.load,
        })?;
        let started = start();
        pin(self.load)?;
        Ok(started?)
    }
}

fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}
