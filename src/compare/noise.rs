//! What else the machine did while something was measured, from the kernel's own account of its processors.
//!
//! Unaware of what was measured.

use super::result::{Metric, Workload};
use super::statistics;

/// Above this share of a processor, others have been at work.
const OTHERS: f64 = 0.1;
/// Above this share of the time, another machine on the same processor has.
const STOLEN: f64 = 0.01;
/// Above this, runs of the same program differ too much: half the width of the median's interval, relative to the median.
const SPREAD: f64 = 0.03;

/// The processors' time since the machine was started, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Processors {
    busy: f64,
    idle: f64,
    stolen: f64,
}

impl Processors {
    /// As it is; nothing where the kernel does not say.
    pub fn read() -> Processors {
        Processors::parse(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second.
    fn parse(text: &str) -> Processors {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect();
        let of = |indexes: &[usize]| indexes.iter().filter_map(|index| ticks.get(*index)).sum::<f64>() / 100.0;
        Processors { busy: of(&[0, 1, 2, 5, 6]), idle: of(&[3, 4]), stolen: of(&[7]) }
    }

    /// Sentences about what happened from here to `after`, in `wall` seconds of which the measured programs took `ours` of
    /// processor time.
    pub fn until(self, after: Processors, wall: f64, ours: f64) -> Vec<String> {
        let mut sentences = Vec::new();
        if wall <= 0.0 {
            return sentences;
        }
        let others = (after.busy - self.busy - ours) / wall;
        if others > OTHERS {
            sentences.push(format!("other programs took {others:.1} processors meanwhile"));
        }
        let stolen = after.stolen - self.stolen;
        let all = stolen + (after.busy - self.busy) + (after.idle - self.idle);
        if all > 0.0 && stolen / all > STOLEN {
            let share = stolen / all * 100.0;
            sentences.push(format!("the host took {share:.0} % of the processors' time for other machines"));
        }
        sentences
    }
}

/// Workloads whose runs differ so much among each other that a difference of a few percent cannot be seen.
pub fn spread(workloads: &[Workload]) -> Vec<String> {
    let mut sentences = Vec::new();
    for workload in workloads {
        let Some(wall) = workload.metric(Metric::WallTime) else { continue };
        let sides = [&wall.base, &wall.candidate];
        let widest = sides.iter().filter_map(|side| statistics::uncertainty(&side.values)).fold(0.0, f64::max);
        if widest > SPREAD {
            sentences.push(format!(
                "wall times of `{}` are uncertain by ±{:.0} % after {} runs a side",
                workload.name,
                widest * 100.0,
                wall.base.runs
            ));
        }
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_and_the_host() {
        let before = Processors::parse("cpu  1000 0 500 8000 100 0 0 10 0 0\ncpu0 1 1 1\n");
        assert_eq!(before, Processors { busy: 15.0, idle: 81.0, stolen: 0.1 });
        // 10 seconds later: 12 s of work, of which 10 are ours, and 0.5 s stolen of 20.
        let after = Processors::parse("cpu  2000 0 700 8750 100 0 0 60 0 0\n");
        let said = before.until(after, 10.0, 10.0);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("0.2 processors") && said[1].contains("2 %"), "{said:?}");
        assert!(before.until(Processors { busy: 25.5, ..after }, 10.0, 10.0).len() == 1);
        assert_eq!(Processors::parse(""), Processors::default());
    }
}
