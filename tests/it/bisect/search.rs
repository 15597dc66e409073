//! The search for a smallest set, with tests whose answer is computed.

use std::collections::BTreeSet;
use std::convert::Infallible;

use optbuild::bisect::search::{smallest, tests_for_one};
use proptest::prelude::*;

/// The set that is found, and with how many different tests: the same one is made only once.
fn search(len: usize, guess: &[usize], passes: impl Fn(&BTreeSet<usize>) -> bool) -> (Vec<usize>, usize) {
    let mut made = BTreeSet::new();
    let found = smallest::<Infallible>(len, guess, |left_out| {
        assert!(left_out.is_sorted() && left_out.iter().all(|index| *index < len), "{left_out:?}");
        let left_out: BTreeSet<usize> = left_out.iter().copied().collect();
        let verdict = passes(&left_out);
        made.insert(left_out);
        Ok(verdict)
    });
    (found.unwrap(), made.len())
}

/// So many halvings leave one of `len`.
fn halvings(len: usize) -> usize {
    (0..).find(|halvings| (len as f64) <= f64::from(*halvings).exp2()).unwrap() as usize
}

fn some_of(len: usize, most: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    prop::collection::btree_set(0..len, 1..=most.min(len))
}

proptest! {
    /// Each of them breaks it alone, as a function does that llvm-bolt gets wrong.
    #[test]
    fn finds_exactly_those_that_are_to_blame(
        (len, culprits) in (1..2000_usize).prop_flat_map(|len| (Just(len), some_of(len, 6))),
    ) {
        let (found, tests) = search(len, &[], |left_out| culprits.is_subset(left_out));
        prop_assert_eq!(&found, &culprits.iter().copied().collect::<Vec<_>>());
        let most = culprits.len() * (halvings(len) + 2);
        prop_assert!(tests <= most, "{} tests for {} of {}, not {}", tests, culprits.len(), len, most);
    }

    /// A guess that is right saves the search, one that is wrong costs a test.
    #[test]
    fn a_guess_changes_nothing_but_how_long_it_takes(
        (len, culprits, guess) in (2..500_usize).prop_flat_map(|len| (Just(len), some_of(len, 4), some_of(len, 5))),
    ) {
        let guess: Vec<usize> = guess.into_iter().collect();
        let passes = |left_out: &BTreeSet<usize>| culprits.is_subset(left_out);
        let (without, _) = search(len, &[], passes);
        prop_assert_eq!(&search(len, &guess, passes).0, &without);
        let right: Vec<usize> = culprits.iter().copied().collect();
        let (found, tests) = search(len, &right, passes);
        prop_assert_eq!(&found, &right);
        prop_assert!(tests <= 1 + right.len() * (halvings(right.len()) + 2), "{} tests", tests);
    }

    /// It is enough to leave out all of one of several sets: two functions, say, that are broken only together.
    #[test]
    fn nothing_can_be_put_back_of_what_is_found(
        (len, enough) in (1..60_usize)
            .prop_flat_map(|len| (Just(len), prop::collection::vec(some_of(len, 5), 1..5))),
    ) {
        let passes = |left_out: &BTreeSet<usize>| enough.iter().any(|set| set.is_subset(left_out));
        let (found, _) = search(len, &[], passes);
        let found: BTreeSet<usize> = found.into_iter().collect();
        prop_assert!(enough.contains(&found), "{:?} of {:?}", found, enough);
        for one in &found {
            let mut fewer = found.clone();
            fewer.remove(one);
            prop_assert!(!passes(&fewer), "{} can be put back into {:?} of {:?}", one, found, enough);
        }
    }

    /// Whatever the test answers, if it passes without all and fails with all: the result passes, and nothing alone can be put back.
    #[test]
    fn a_test_that_makes_no_sense_gives_a_result_that_was_tested(len in 1..40_usize, seed in any::<u64>()) {
        let passes = |left_out: &BTreeSet<usize>| {
            let mixed = left_out.iter().fold(seed, |hash, index| {
                (hash ^ (*index as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31)
            });
            left_out.len() == len || (!left_out.is_empty() && mixed % 3 == 0)
        };
        let (found, _) = search(len, &[], passes);
        let found: BTreeSet<usize> = found.into_iter().collect();
        prop_assert!(passes(&found));
        for one in &found {
            let mut fewer = found.clone();
            fewer.remove(one);
            prop_assert!(!passes(&fewer), "{} of {:?}", one, found);
        }
    }
}

#[test]
fn the_first_error_ends_the_search() {
    let mut made = 0;
    let ended = smallest(100, &[], |_| {
        made += 1;
        if made == 3 { Err("interrupted") } else { Ok(false) }
    });
    assert_eq!((ended, made), (Err("interrupted"), 3));
}

#[test]
fn what_is_announced_for_one() {
    assert_eq!([1, 2, 3, 4, 5, 1000, 1024, 1025].map(tests_for_one), [0, 1, 2, 2, 3, 10, 10, 11]);
}
