//! How much memory this machine has to give. Unaware of what it is for.

use super::Facts;

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What can be used without swapping, or what the memory cgroup allows if that is less.
    pub available: u64,
    /// Free swap space; none where a cgroup sets a limit, as that says nothing of swapping.
    pub swap: u64,
}

impl Memory {
    /// None where there is no `/proc/meminfo`, whose fields are in `proc_meminfo(5)`.
    pub fn of(facts: &Facts) -> Option<Memory> {
        let meminfo = facts.read("/proc/meminfo".into())?;
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        // `max` is no number: no limit.
        let limit = limits.iter().filter_map(|&file| facts.read(file.into())?.trim().parse::<u64>().ok()).min();
        let available = field("MemAvailable")?;
        Some(match limit.filter(|limit| *limit < available) {
            Some(limit) => Memory { available: limit, swap: 0 },
            None => Memory { available, swap: field("SwapFree").unwrap_or(0) },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(files: serde_json::Value) -> Option<Memory> {
        Memory::of(&Facts::from_json(&json!({ "files": files }).to_string()).unwrap())
    }

    #[test]
    fn the_least_that_is_said() {
        let meminfo =
            "MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:     600 kB\nSwapTotal:  9 kB\nSwapFree:  7 kB\n";
        let memory = |kib: u64, swap: u64| Some(Memory { available: kib * 1024, swap: swap * 1024 });
        assert_eq!(of(json!({ "/proc/meminfo": meminfo })), memory(600, 7));
        assert_eq!(of(json!({ "/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "max\n" })), memory(600, 7));
        assert_eq!(of(json!({ "/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "102400\n" })), memory(100, 0));
        assert_eq!(of(json!({ "/proc/meminfo": "MemAvailable: 2 kB\n" })), memory(2, 0));
        assert_eq!(of(json!({})), None);
    }

    #[test]
    fn this_machine_has_less_than_it_has() {
        let memory = Memory::of(&Facts::live()).unwrap();
        let info = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total: u64 = info.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(memory.available > 0 && memory.available <= total * 1024, "{memory:?}");
    }
}
