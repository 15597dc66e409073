//! The order of runs and the correction for many tests: counted, and calculated by hand.

use std::collections::BTreeMap;

use optbuild::compare::holm::adjusted;
use optbuild::compare::order::{block, of_round};
use optbuild::compare::statistics::{least_runs, p_value};

/// Over a block, each side stands equally often at each place, and directly after each other side.
#[test]
fn the_order_is_balanced() {
    for sides in 2..=15 {
        let (mut places, mut pairs) = (BTreeMap::new(), BTreeMap::new());
        for round in 0..block(sides) {
            let order = of_round(sides, round);
            let mut all = order.clone();
            all.sort_unstable();
            assert_eq!(all, (0..sides).collect::<Vec<usize>>(), "each side once");
            for (place, side) in order.iter().enumerate() {
                *places.entry((place, *side)).or_insert(0) += 1;
            }
            for pair in order.windows(2) {
                *pairs.entry((pair[0], pair[1])).or_insert(0) += 1;
            }
        }
        let times = block(sides) / sides;
        assert_eq!((places.len(), pairs.len()), (sides * sides, sides * (sides - 1)), "{sides}");
        assert!(places.values().chain(pairs.values()).all(|count| *count == times), "{sides}: {places:?} {pairs:?}");
    }
}

#[test]
fn two_sides_take_turns() {
    let orders: Vec<Vec<usize>> = (0..4).map(|round| of_round(2, round)).collect();
    assert_eq!(orders, [[0, 1], [1, 0], [0, 1], [1, 0]]);
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let all = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12);
    assert!(all, "{found:?} {expected:?}");
}

/// The example of the article "Holm-Bonferroni method" of Wikipedia: p-values 0.01, 0.04, 0.03, 0.005 at a level of 0.05. The first and the
/// last one are rejected: 0.005 ≤ 0.05/4 and 0.01 ≤ 0.05/3, but 0.03 > 0.05/2. Multiplied out: 0.02, 0.03, 0.06, and 0.04 not below that.
#[test]
fn holm_by_hand() {
    close(&adjusted(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
    close(&adjusted(&[0.3]), &[0.3]);
    // 3 × 0.5 is more than a chance can be.
    close(&adjusted(&[0.5, 0.9, 0.5]), &[1.0, 1.0, 1.0]);
    close(&adjusted(&[]), &[]);
}

/// The normal approximation of two sets that do not overlap, by hand: U is 0, its mean n²/2, its variance n²(2n+1)/12. With 6 a side
/// z = (18 - 0.5)/√39 = 2.80, p = 0.0051; with 10, z = 49.5/√175 = 3.74, p = 0.00018; 0.01/36 = 0.00028 lies between that of 9 and of 10.
#[test]
fn more_tests_take_more_runs() {
    assert_eq!((least_runs(1), least_runs(36)), (6, 10));
    let apart = |runs: u32| {
        p_value(&(0..runs).map(f64::from).collect::<Vec<_>>(), &(runs..2 * runs).map(f64::from).collect::<Vec<_>>())
    };
    assert!((apart(6).unwrap() - 0.0051).abs() < 5e-5, "{:?}", apart(6));
    assert!((apart(10).unwrap() - 0.00018).abs() < 5e-6, "{:?}", apart(10));
}
