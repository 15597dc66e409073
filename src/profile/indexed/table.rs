//! The order of items in LLVM's hash tables on disk. Unaware of what the items are.

/// How many buckets a table begins with.
const FIRST: usize = 64;
const NONE: u32 = u32::MAX;

/// Which items are in each bucket and in which order, when they were inserted as they stand here: an item comes before those
/// that are in its bucket, and growing turns the order around.
pub fn buckets(hashes: &[u64]) -> Vec<Vec<usize>> {
    let mut table = Table { heads: vec![NONE; FIRST], next: vec![NONE; hashes.len()] };
    for item in 0..hashes.len() {
        if 4 * (item + 1) >= 3 * table.heads.len() {
            table.grow(table.heads.len() * 2, hashes);
        }
        table.insert(item, hashes);
    }
    let size = if hashes.len() <= 2 { 1 } else { (hashes.len() * 4 / 3 + 1).next_power_of_two() };
    if size != table.heads.len() {
        table.grow(size, hashes);
    }
    let chain = |head: &u32| {
        let some = |item: u32| (item != NONE).then_some(item as usize);
        std::iter::successors(some(*head), |item| some(table.next[*item])).collect()
    };
    table.heads.iter().map(chain).collect()
}

struct Table {
    heads: Vec<u32>,
    next: Vec<u32>,
}

impl Table {
    fn insert(&mut self, item: usize, hashes: &[u64]) {
        let size = self.heads.len() as u64;
        let head = &mut self.heads[(hashes[item] & (size - 1)) as usize];
        self.next[item] = *head;
        *head = item as u32;
    }

    fn grow(&mut self, size: usize, hashes: &[u64]) {
        for head in std::mem::replace(&mut self.heads, vec![NONE; size]) {
            let mut item = head;
            while item != NONE {
                let next = self.next[item as usize];
                self.insert(item as usize, hashes);
                item = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_items() {
        assert_eq!(buckets(&[]), [Vec::<usize>::new()]);
        // Put at the front, and turned around when 64 buckets become one.
        assert_eq!(buckets(&[64, 128]), [vec![0, 1]]);
        // From two of 64 buckets into one of 8, the lower first: it is behind then.
        assert_eq!(buckets(&[8, 16, 3]), [vec![1, 0], vec![], vec![], vec![2], vec![], vec![], vec![], vec![]]);
    }

    #[test]
    fn every_item_is_in_its_bucket() {
        let hashes: Vec<u64> = (0..1000u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7).collect();
        let buckets = buckets(&hashes);
        assert_eq!(buckets.len(), 2048);
        let mut all: Vec<usize> = buckets.concat();
        all.sort();
        assert!(all.into_iter().eq(0..1000));
        for (number, bucket) in buckets.iter().enumerate() {
            assert!(bucket.iter().all(|item| hashes[*item] % 2048 == number as u64));
        }
    }
}
