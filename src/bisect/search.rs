//! A smallest set of things that must be left out for a test to pass, found with few tests.
//!
//! A pure function: the test is handed in. What must hold before: with nothing left out it fails, with everything left out it passes.
//!
//! | round | |
//! |---|---|
//! | 1 | by halves, the shortest beginning of the list is found with which the test passes: its last element is needed |
//! | 2, 3, … | that one stays left out; of what stands before it the same is done, until nothing more is needed |
//! | at the end | each is put back once: one without which the test passes as well is not needed |
//!
//! So `k` elements of `n` are found with about `k · (log2 n + 2)` tests. If leaving out more never makes a test fail, nothing can be put
//! back of the result, alone or together. If it does, the result still is one with which the test has passed, and of which no element
//! can be put back alone. Unaware of functions and of llvm-bolt.

/// Finds a smallest set, as sorted indices below `len`. `passes` is told what is left out, sorted. `guess` is tried first: if the test
/// passes without these, nothing else is looked at.
///
/// # Errors
/// That of a test.
pub fn smallest<E>(
    len: usize,
    guess: &[usize],
    mut passes: impl FnMut(&[usize]) -> Result<bool, E>,
) -> Result<Vec<usize>, E> {
    let mut open: Vec<usize> = (0..len).collect();
    if !guess.is_empty() && guess.len() < len && passes(guess)? {
        open = guess.to_vec();
    }
    let mut needed: Vec<usize> = Vec::new();
    // Here the test passes without all of `needed` and `open`.
    while !open.is_empty() && (needed.is_empty() || !passes(&needed)?) {
        let (mut fails, mut good) = (0, open.len());
        while good - fails > 1 {
            let middle = fails + (good - fails) / 2;
            if passes(&union(&needed, &open[..middle]))? {
                good = middle;
            } else {
                fails = middle;
            }
        }
        open.truncate(good);
        needed.extend(open.pop());
        needed.sort_unstable();
    }
    put_back(needed, passes)
}

/// Takes out what is not needed.
fn put_back<E>(mut needed: Vec<usize>, mut passes: impl FnMut(&[usize]) -> Result<bool, E>) -> Result<Vec<usize>, E> {
    let mut at = 0;
    while needed.len() > 1 && at < needed.len() {
        let mut fewer = needed.clone();
        fewer.remove(at);
        if passes(&fewer)? {
            needed = fewer;
            // What was needed beside that one may not be needed now.
            at = 0;
        } else {
            at += 1;
        }
    }
    Ok(needed)
}

fn union(one: &[usize], other: &[usize]) -> Vec<usize> {
    let mut all: Vec<usize> = one.iter().chain(other).copied().collect();
    all.sort_unstable();
    all
}

/// How many tests it takes to find one element of so many.
pub fn tests_for_one(len: usize) -> usize {
    len.next_power_of_two().trailing_zeros() as usize
}
