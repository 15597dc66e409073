//! In which order the sides of a workload run in a round, so that what slowly changes on the machine falls on all of them alike, and so does
//! what a run leaves behind for the next one.
//!
//! It is a Williams design: a Latin square in which, over a block of rounds,
//!
//! - each side stands equally often at each place, and
//! - each side runs equally often directly after each other one.
//!
//! | sides | rounds of a block | of two sides |
//! |---|---|---|
//! | an even number N | N | A B, B A |
//! | an odd number N | 2 N | |
//!
//! Each round is followed by its mirror image, so a block that is cut short is nearly balanced as well. Unaware of what sides are.

/// The sides in the order of a round. Rounds and sides begin with 0.
pub fn of_round(sides: usize, round: usize) -> Vec<usize> {
    if sides == 0 {
        return Vec::new();
    }
    let mirrored = round % 2 == 1;
    // Of an even number of sides, the mirror image of a row is another row: half of them are enough.
    let rows = if sides.is_multiple_of(2) { sides / 2 } else { sides };
    let row = (round / 2) % rows;
    let mut order: Vec<usize> = (0..sides).map(|place| (zigzag(sides, place) + row) % sides).collect();
    if mirrored {
        order.reverse();
    }
    order
}

/// How many rounds make a block, over which all is balanced.
pub fn block(sides: usize) -> usize {
    if sides.is_multiple_of(2) { sides.max(1) } else { 2 * sides }
}

/// 0, 1, N-1, 2, N-2, …: the distances between neighbours are all different.
fn zigzag(sides: usize, place: usize) -> usize {
    match place {
        0 => 0,
        odd if odd % 2 == 1 => odd.div_ceil(2),
        even => sides - even / 2,
    }
}
