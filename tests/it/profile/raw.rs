//! Raw profiles made by hand, word by word: how they are added up, what is refused, and how sums are kept.

use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::profile::raw::layout::{MAGIC, Refusal, Sections};
use optbuild::profile::raw::{Fate, Folded, Input, Sum, fold, fold_weighted};
use proptest::prelude::*;

use crate::support::dir::Dir;

/// Raw profiles in version 8 with one record of one counter per number, and one site of memory sizes in the first record.
fn profile(counters: &[u64], sizes: &[(u64, u64)]) -> Vec<u8> {
    let pointers: Vec<u64> = (0..counters.len() as u64).map(|number| 0x5000 + number * 16).collect();
    process(counters, &pointers, 1, sizes)
}

/// The same with the addresses of the functions, and the kind of values that the first has.
fn process(counters: &[u64], pointers: &[u64], kind: u32, sizes: &[(u64, u64)]) -> Vec<u8> {
    let mut words = vec![8 | 1 << 56, 0, counters.len() as u64, 0, counters.len() as u64, 0, 3, 0, 0, 1];
    let data = counters.len() as u64 * 48;
    words[8 - 1] = data;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    for number in 0..counters.len() as u64 {
        // The counter's distance from its record.
        let fields = [100 + number, 7, (data + number * 8).wrapping_sub(number * 48), pointers[number as usize], 0];
        bytes.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        bytes.extend(1u32.to_le_bytes());
        bytes.extend([0, 1].map(|of_kind| u16::from(number == 0 && kind == of_kind).to_le_bytes()).concat());
    }
    bytes.extend(counters.iter().flat_map(|counter| counter.to_le_bytes()));
    bytes.extend(b"abc\0\0\0\0\0");
    let total = 8 + 8 + 8 + 16 * sizes.len() as u32;
    bytes.extend([total, 1, kind, 1].iter().flat_map(|number| number.to_le_bytes()));
    bytes.extend([sizes.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(sizes.iter().flat_map(|(value, count)| [value.to_le_bytes(), count.to_le_bytes()].concat()));
    bytes
}

struct Work(Dir);

impl Work {
    fn of(contents: &[Vec<u8>]) -> (Work, Vec<Utf8PathBuf>) {
        let work = Work(Dir::new());
        let paths = contents.iter().enumerate().map(|(number, content)| {
            let path = work.path().join(format!("{number}.profraw"));
            std::fs::write(&path, content).unwrap();
            path
        });
        let paths = paths.collect();
        (work, paths)
    }
    fn path(&self) -> &Utf8Path {
        self.0.path()
    }
    fn fold(&self, paths: &[Utf8PathBuf]) -> Folded {
        fold(paths, self.path(), 2).unwrap()
    }
}

#[test]
fn counters_and_values_add_up() {
    let (work, paths) = Work::of(&[
        profile(&[1, 2, 3], &[(4, 10), (9, 1)]),
        profile(&[10, 20, 30], &[(1, 5), (9, 2)]),
        profile(&[100, 200, 300], &[]),
    ]);
    let folded = work.fold(&paths);
    assert_eq!((folded.added, folded.left.len()), (3, 1));
    let sum = std::fs::read(&folded.left[0]).unwrap();
    assert_eq!(sum, profile(&[111, 222, 333], &[(1, 5), (4, 10), (9, 3)]));
}

#[test]
fn addresses_are_mapped_one_by_one() {
    // In the second process the second function lies in another library than the first; 9 is in none. In the third all moved.
    let first = process(&[1, 1, 1], &[0x1000, 0x2000, 0], 0, &[(0x1000, 1), (0x2000, 10), (9, 3)]);
    let second = process(&[1, 1, 1], &[0x1500, 0x9000, 0], 0, &[(0x9000, 20), (0x1500, 2), (0x1000, 4)]);
    let third = process(&[1, 1, 1], &[0x1700, 0x2700, 0], 0, &[(0x2700, 30), (0x1000, 5), (0x2000, 6)]);
    let (work, paths) = Work::of(&[first, second, third]);
    let folded = work.fold(&paths);
    assert_eq!(folded.added, 3, "{folded:?}");
    let sum = std::fs::read(&folded.left[0]).unwrap();
    // Of the unknown the most frequent of each file, 3 + 4 + 6, and the second of the last.
    let expected = process(&[3, 3, 3], &[0x1000, 0x2000, 0], 0, &[(0, 13), (0, 5), (0x1000, 3), (0x2000, 60)]);
    assert!(sum == expected);

    // Two functions at one address: llvm-profdata decides.
    let same = process(&[1, 1, 1], &[0x1000, 0x1000, 0], 0, &[(0x1000, 1)]);
    let (work, paths) = Work::of(&[same.clone(), same]);
    assert_eq!(work.fold(&paths).handed.len(), 2);
}

#[test]
fn sums_above_the_limit_are_left_in_parts() {
    let half = (1 << 55) + 1;
    let (work, paths) = Work::of(&[profile(&[half, 1], &[]), profile(&[half, 2], &[]), profile(&[1, 8], &[])]);
    let folded = fold(&paths, work.path(), 1).unwrap();
    assert_eq!((folded.left.len(), folded.added, folded.handed.len()), (2, 2, 0), "{folded:?}");
    assert_eq!(std::fs::read(&folded.left[0]).unwrap(), profile(&[half + 1, 9], &[]));
    assert_eq!(folded.left[1], paths[1], "alone in its part");
    // Just as much as llvm-profdata takes.
    let (work, paths) = Work::of(&[profile(&[1 << 55, 0], &[]), profile(&[1 << 55, 0], &[])]);
    let folded = work.fold(&paths);
    assert_eq!(std::fs::read(&folded.left[0]).unwrap(), profile(&[1 << 56, 0], &[]));
}

#[test]
fn an_impossible_count_costs_its_function() {
    let bad = profile(&[(1 << 56) + 1, 4], &[(3, 4)]);
    let (work, paths) = Work::of(&[profile(&[10, 1], &[(3, 1)]), bad.clone(), profile(&[20, 2], &[])]);
    let folded = work.fold(&paths);
    assert_eq!((folded.left.len(), folded.added, folded.handed.len()), (1, 3, 0), "{folded:?}");
    // The values of the function too.
    assert_eq!(std::fs::read(&folded.left[0]).unwrap(), profile(&[30, 7], &[(3, 1)]));
    // Its names are not well-formed: the hash of the name, which is 100.
    let reason = "1 of 2 functions left out because of impossible counts: `0000000000000064` (72057594037927937)";
    assert_eq!(folded.spoiled.len(), 1);
    assert_eq!((&folded.spoiled[0].0, folded.spoiled[0].1.to_string()), (&paths[1], reason.to_string()));

    // Alone as well.
    let (work, paths) = Work::of(&[bad]);
    let folded = work.fold(&paths);
    assert_eq!(std::fs::read(&folded.left[0]).unwrap(), profile(&[0, 4], &[]));

    // In a file of which more is bad nothing can be trusted.
    let (work, paths) = Work::of(&[profile(&[u64::MAX, 1 << 57], &[])]);
    assert_eq!(work.fold(&paths).damaged.len(), 1);
}

#[test]
fn weights_multiply() {
    let (work, paths) =
        Work::of(&[profile(&[1, 2], &[(3, 4)]), profile(&[10, 20], &[(3, 1), (5, 2)]), profile(&[1 << 50, 0], &[])]);
    let weighted = |weights: [u64; 3]| -> Vec<Input> { paths.iter().cloned().zip(weights).collect() };
    let folded = fold_weighted(&weighted([1, 3, 0])[..2], work.path(), 2).unwrap();
    assert_eq!((folded.weights.as_slice(), folded.added), (&[1][..], 2));
    assert_eq!(std::fs::read(&folded.left[0]).unwrap(), profile(&[31, 62], &[(3, 7), (5, 6)]));
    // A file that is alone, or too large with its weight, keeps it.
    let folded = fold_weighted(&weighted([1, 3, 1000]), work.path(), 2).unwrap();
    assert_eq!((folded.weights.as_slice(), folded.added), (&[1, 1000][..], 2));
    let folded = fold_weighted(&weighted([5, 0, 0])[..1], work.path(), 2).unwrap();
    assert_eq!((folded.left, folded.weights), (vec![paths[0].clone()], vec![5]));
}

#[test]
fn a_sum_grows_is_kept_and_is_joined() {
    let contents = [
        profile(&[1, 2, 3], &[(4, 10), (9, 1)]),
        profile(&[10, 20, 30], &[(1, 5), (9, 2)]),
        profile(&[100, 200, 300], &[]),
        profile(&[7, 7], &[]),
        profile(&[8, 8], &[(1, 1)]),
    ];
    let (work, paths) = Work::of(&contents);
    let saved = work.path().join("saved");
    let mut sum = Sum::new();
    assert_eq!(sum.add(&paths[..1], 1).unwrap(), [Fate::Added]);
    for path in &paths[1..] {
        sum.save(&saved).unwrap();
        sum = Sum::open(&saved).unwrap();
        assert_eq!(sum.add(std::slice::from_ref(path), 1).unwrap(), [Fate::Added]);
    }
    let both = [profile(&[111, 222, 333], &[(1, 5), (4, 10), (9, 3)]), profile(&[15, 15], &[(1, 1)])];
    let written = |sum: &Sum| -> Vec<Vec<u8>> {
        sum.write(work.path()).unwrap().iter().map(|path| std::fs::read(path).unwrap()).collect()
    };
    assert!(written(&sum) == both);
    assert_eq!(sum.files(), 5);

    let (mut one, mut other) = (Sum::new(), Sum::new());
    one.add(&paths[..2], 2).unwrap();
    other.add(&paths[2..], 2).unwrap();
    one.join(other);
    assert!(written(&one) == both);
    assert_eq!(one.files(), 5);

    let mut bytes = std::fs::read(&saved).unwrap();
    for cut in [0, 8, 40, bytes.len() - 1] {
        std::fs::write(&saved, &bytes[..cut]).unwrap();
        assert!(Sum::open(&saved).is_err(), "{cut}");
    }
    bytes[100] ^= 1;
    std::fs::write(&saved, &bytes).unwrap();
    assert!(Sum::open(&saved).is_err());
}

#[test]
fn a_kept_sum_loses_no_value() {
    // 200 values in each file, 400 at the site in all: which 255 are the most frequent shows in the end only.
    let of = |from: u64, count: u64| -> Vec<(u64, u64)> { (from..from + 200).map(|value| (value, count)).collect() };
    let (work, paths) = Work::of(&[profile(&[1], &of(0, 1)), profile(&[1], &of(200, 2)), profile(&[1], &of(0, 3))]);
    let saved = work.path().join("saved");
    let mut sum = Sum::new();
    for path in &paths {
        sum.add(std::slice::from_ref(path), 1).unwrap();
        sum.save(&saved).unwrap();
        sum = Sum::open(&saved).unwrap();
    }
    let written = std::fs::read(&sum.write(work.path()).unwrap()[0]).unwrap();
    let folded = work.fold(&paths);
    assert!(written == std::fs::read(&folded.left[0]).unwrap());
    let expected: Vec<(u64, u64)> = (0..255).map(|value| (value, if value < 200 { 4 } else { 2 })).collect();
    assert!(written == profile(&[3], &expected));
}

#[test]
fn a_sum_says_what_became_of_each_file() {
    let good = profile(&[1, 2], &[]);
    let mut other = good.clone();
    other[88 + 48 + 8] = 8;
    let mut later = good.clone();
    later[8] = 12;
    let bad = profile(&[1 << 60, 2], &[]);
    let (work, paths) = Work::of(&[
        good.clone(),
        Vec::new(),
        good[..99].to_vec(),
        later,
        other,
        bad,
        profile(&[1 << 56, 0], &[]),
        good,
    ]);
    let mut sum = Sum::new();
    let became = sum.add(&paths, 2).unwrap();
    assert_eq!(
        (&became[0], &became[1], &became[4], &became[7]),
        (&Fate::Added, &Fate::Empty, &Fate::Added, &Fate::Added)
    );
    assert!(matches!(&became[2], Fate::Damaged(reason) if reason.contains("cut off")), "{became:?}");
    assert!(matches!(&became[3], Fate::Handed(reason) if reason == "raw version 12"), "{became:?}");
    assert!(matches!(&became[5], Fate::AddedInPart(_)), "{became:?}");
    assert_eq!(became[6], Fate::Added, "in another part");
    assert_eq!((sum.files(), sum.write(work.path()).unwrap().len()), (5, 3));
}

#[test]
fn builds_that_look_alike_are_kept_apart() {
    let mut other = profile(&[10, 20], &[]);
    // The second record's hash of the function.
    other[88 + 48 + 8] = 8;
    let plain = |counters: &[u64]| profile(counters, &[]);
    let (work, paths) = Work::of(&[plain(&[1, 2]), other.clone(), plain(&[3, 4]), other]);
    let folded = work.fold(&paths);
    assert_eq!((folded.added, folded.left.len(), folded.handed.len()), (4, 2, 0));
    assert_eq!(std::fs::read(&folded.left[0]).unwrap(), plain(&[4, 6]));
    let mut names = plain(&[1, 1]);
    let at = names.len() - 24 - 8;
    names[at] = b'x';
    let (work, paths) = Work::of(&[plain(&[1, 2]), names, plain(&[3, 4])]);
    assert_eq!(work.fold(&paths).added, 2, "other names, another build");
}

#[test]
fn damage_is_told_from_what_is_not_known() {
    let good = profile(&[1, 2], &[(3, 4)]);
    let mut later = good.clone();
    later[8] = 12;
    let mut behind = good.clone();
    behind.extend(good.clone());
    let contents = [good[..good.len() - 1].to_vec(), good[..100].to_vec(), vec![0; 500], Vec::new(), later, behind];
    let (work, mut paths) = Work::of(&contents);
    for (number, path) in [good.clone(), good].iter().enumerate() {
        paths.push(work.path().join(format!("good{number}.profraw")));
        std::fs::write(paths.last().unwrap(), path).unwrap();
    }
    let folded = work.fold(&paths);
    let names = |files: &[(Utf8PathBuf, String)]| -> Vec<String> {
        files.iter().map(|(path, _)| path.file_name().unwrap_or_default().to_string()).collect()
    };
    let mut damaged = names(&folded.damaged);
    damaged.sort();
    assert_eq!(damaged, ["0.profraw", "1.profraw", "2.profraw"], "{folded:?}");
    assert_eq!(names(&folded.handed), ["4.profraw", "5.profraw"]);
    assert_eq!((folded.empty.len(), folded.added), (1, 2));
}

/// A good header that claims much, and a file that is as long and has next to nothing on disk: no memory is taken for it.
#[test]
fn what_is_claimed_is_not_believed() {
    const CLAIM: u64 = 200 << 30;
    let good = profile(&[1, 2], &[(3, 4)]);
    // Words of the header: bytes of ids, records of 48 bytes, counters of 8, bytes of names. None of them: value data.
    for (word, unit) in [(2, 1), (3, 48), (5, 8), (7, 1), (0, 1)] {
        let mut bytes = good.clone();
        if word > 0 {
            bytes[word * 8..word * 8 + 8].copy_from_slice(&(CLAIM / unit / 8 * 8).to_le_bytes());
        }
        let (work, paths) = Work::of(&[bytes.clone(), bytes, good.clone()]);
        for path in &paths[..2] {
            std::fs::File::options().write(true).open(path).unwrap().set_len(CLAIM + 4096).unwrap();
        }
        let folded = work.fold(&paths);
        assert_eq!((folded.damaged.len(), &folded.left), (2, &paths[2..].to_vec()), "{folded:?}");
        assert!(folded.damaged[0].1.contains("never written"), "{folded:?}");
        let fates = Sum::new().add(&paths[..1], 1).unwrap();
        assert!(matches!(&fates[0], Fate::Damaged(_)), "{fates:?}");
        assert!(optbuild::profile::indexed::Profile::read(&paths[..1]).unwrap().is_err());
    }
}

proptest! {
    /// Whatever is changed in a profile: it is added, or left out, and what is written is as long as a profile of its header.
    #[test]
    fn changed_bytes_do_no_harm(changes in prop::collection::vec((0usize..400, any::<u8>()), 1..6), cut in 0usize..600) {
        let good = profile(&[1, 2, 3], &[(4, 10), (9, 1)]);
        let mut bad = good.clone();
        for (at, byte) in changes {
            if let Some(place) = bad.get_mut(at) {
                *place = byte;
            }
        }
        bad.truncate(cut);
        let (work, paths) = Work::of(&[bad.clone(), good.clone(), bad, good]);
        let folded = work.fold(&paths);
        prop_assert_eq!(folded.added + folded.handed.len() + folded.damaged.len() + folded.empty.len() + lone(&folded), 4);
        let mut sum = Sum::new();
        let became = sum.add(&paths, 1).unwrap();
        let added = became.iter().filter(|became| matches!(became, Fate::Added | Fate::AddedInPart(_))).count();
        prop_assert_eq!(added as u64, sum.files());
        let saved = work.path().join("saved");
        sum.save(&saved).unwrap();
        prop_assert_eq!(Sum::open(&saved).unwrap().files(), sum.files());
        for (sum, _) in &folded.sums {
            let file = std::fs::File::open(sum).unwrap();
            let mut magic = [0; 8];
            file.read_exact_at(&mut magic, 0).unwrap();
            prop_assert_eq!(magic, MAGIC);
        }
    }
}

/// Files that are passed through because there is no second one.
fn lone(folded: &Folded) -> usize {
    let other = |path: &&Utf8PathBuf| {
        !folded.sums.iter().any(|(sum, _)| sum == *path) && !folded.handed.iter().any(|(file, _)| file == *path)
    };
    folded.left.iter().filter(other).count()
}

fn header(words: &[u64]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

#[test]
fn sections_lie_behind_each_other() {
    // One id of 24 bytes, 2 records, 3 counters, 5 bytes of names.
    let head = header(&[8 | 1 << 56, 24, 2, 0, 3, 0, 5, 77, 99, 1]);
    let sections = Sections::parse(&head, 1000).unwrap();
    assert_eq!((sections.records_at, sections.counters_at), (88 + 24, 88 + 24 + 96));
    assert_eq!((sections.names_at, sections.values_at), (232, 240));
    assert_eq!(sections.counters_delta, 77);
    assert!(matches!(Sections::parse(&head, 239), Err(Refusal::Damaged(_))));
    let other = header(&[8 | 1 << 56, 24, 2, 0, 3, 0, 5, 77, 1234, 1]);
    assert_eq!(sections.signature(&head), sections.signature(&other));
}

#[test]
fn what_is_not_known_is_not_guessed() {
    for version in
        [7, 12, 9 | 1 << 62, 10 | 1 << 59, 10 | 1 << 61, 10 | 1 << 54, 10 | 1 << 60, 10 | 1 << 63, 8 | 1 << 60]
    {
        let head = header(&[version, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert!(matches!(Sections::parse(&head, 1000), Err(Refusal::Unknown(_))), "{version:x}");
    }
    let huge = header(&[8, u64::MAX - 7, u64::MAX, 0, 1 << 61, 0, 0, 0, 0, 1]);
    assert!(matches!(Sections::parse(&huge, 1000), Err(Refusal::Damaged(_))));
}
