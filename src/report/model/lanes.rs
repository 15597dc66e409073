//! Which lane of a drawing something goes to, so that nothing covers anything else.

/// Lanes by when they are free again.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    free_at: Vec<f64>,
}

impl Lanes {
    /// The first lane that is free from `start` on; it is taken up to `end`. To be asked in the order of `start`.
    pub(super) fn take(&mut self, start: f64, end: f64) -> usize {
        // Moments are those of the journal, which is written a little after the fact.
        const SLACK: f64 = 1e-3;
        let lane = self.free_at.iter().position(|free| *free <= start + SLACK).unwrap_or(self.free_at.len());
        match self.free_at.get_mut(lane) {
            Some(free) => *free = end,
            None => self.free_at.push(end),
        }
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_in_different_lanes() {
        let mut lanes = Lanes::default();
        let spans = [(0.0, 4.0), (1.0, 2.0), (1.5, 3.0), (2.0, 9.0), (4.0, 5.0)];
        assert_eq!(spans.map(|(start, end)| lanes.take(start, end)), [0, 1, 2, 1, 0]);
    }
}
