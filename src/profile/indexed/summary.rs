//! The summary in front of a merged profile: how many counts, how large, and which of them make up which part of the total.
//!
//! Unaware of functions.

/// The parts of the total, in millionths, for which the summary says how many of the largest counts make them up.
const PARTS: [u64; 16] = [
    10_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000, 950_000, 990_000, 999_000,
    999_900, 999_990, 999_999,
];

/// Of one level of instrumentation.
#[derive(Debug, Default)]
pub struct Summary {
    functions: u64,
    counts: u64,
    largest_first: u64,
    largest: u64,
    largest_other: u64,
    total: u64,
    /// For each part the smallest count that is needed for it, and how many counts are no smaller.
    parts: Vec<(u64, u64)>,
}

impl Summary {
    /// Adds a function's counters. Counts that are not zero are put into `counts` too.
    pub fn add(&mut self, counters: &[u8], counts: &mut Vec<u64>) {
        self.functions += 1;
        for (number, counter) in counters.as_chunks::<8>().0.iter().enumerate() {
            let count = u64::from_le_bytes(*counter);
            self.counts += 1;
            self.total = self.total.wrapping_add(count);
            let of_place = if number == 0 { &mut self.largest_first } else { &mut self.largest_other };
            *of_place = count.max(*of_place);
            if count > 0 {
                counts.push(count);
            }
        }
        self.largest = self.largest_first.max(self.largest_other);
    }

    /// Finds the parts, from all counts that are not zero.
    pub fn finish(&mut self, mut counts: Vec<u64>) {
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let (mut seen, mut sum, mut smallest) = (0, 0u64, 0);
        for part in PARTS {
            let wanted = (u128::from(self.total) * u128::from(part) / 1_000_000) as u64;
            while sum < wanted && seen < counts.len() {
                smallest = counts[seen];
                // Equal counts come together.
                while counts.get(seen) == Some(&smallest) {
                    sum = sum.wrapping_add(smallest);
                    seen += 1;
                }
            }
            self.parts.push((smallest, seen as u64));
        }
    }

    /// As it stands in the file.
    pub fn words(&self) -> Vec<u64> {
        let Summary { functions, counts, largest_first, largest, largest_other, total, parts } = self;
        let mut words =
            vec![6, PARTS.len() as u64, *functions, *counts, *largest_first, *largest, *largest_other, *total];
        words.extend(PARTS.iter().zip(parts).flat_map(|(part, (smallest, seen))| [*part, *smallest, *seen]));
        words
    }
}
