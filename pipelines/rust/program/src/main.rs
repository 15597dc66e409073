//! Uses what a miscompiled compiler gets wrong first: generic code, closures, threads, unwinding, floating point, formatting.

use std::collections::BTreeMap;

use macros::Fields;

trait Fields {
    const COUNT: usize;
}

#[derive(Fields, Debug, Clone, PartialEq)]
#[allow(dead_code)]
struct Point {
    x: f64,
    y: f64,
    name: String,
}

fn primes(below: usize) -> Vec<usize> {
    let mut composite = vec![false; below];
    let mut primes = Vec::new();
    for number in 2..below {
        if !composite[number] {
            primes.push(number);
            (number * number..below).step_by(number).for_each(|multiple| composite[multiple] = true);
        }
    }
    primes
}

fn main() {
    assert_eq!(Point::COUNT, 3);
    // Below 10,000 there are 1,229 primes, and their sum is 5,736,396.
    let found = primes(10_000);
    assert_eq!((found.len(), found.iter().sum::<usize>()), (1229, 5_736_396));

    let text = "the quick brown fox jumps over the lazy dog the end";
    let mut words: BTreeMap<&str, u32> = BTreeMap::new();
    text.split(' ').for_each(|word| *words.entry(word).or_default() += 1);
    assert_eq!(words["the"], 3);

    let threads: Vec<_> =
        (0..4u64).map(|by| std::thread::spawn(move || (0..1000).map(|n| n * by).sum::<u64>())).collect();
    let sums: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    // 999 × 1,000 / 2, and its multiples.
    assert_eq!(sums, [0, 499_500, 999_000, 1_498_500]);

    std::panic::set_hook(Box::new(|_| {}));
    assert!(std::panic::catch_unwind(|| primes(10)[99]).is_err());

    let root = (0..20).fold(1.0f64, |guess, _| (guess + 2.0 / guess) / 2.0);
    println!("{root:.12} {:?}", Point { x: 0.5, y: -1e-3, name: "p".into() });
}
