//! The names of a raw profile's functions: packed, separated by a byte, in one or several parts. Unaware of records.
//!
//! A part is the size of the text, the size of its compressed form (0: it is plain) and the bytes (`readAndDecodeStrings` in LLVM's
//! `InstrProf.cpp`).

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::io::Read;
use std::ops::Range;

use flate2::read::ZlibDecoder;

use super::layout::{Found, unknown};
use super::read::Spread;
use crate::profile::names::name_hash;

/// How much larger names may be unpacked than packed: those of real programs are 3 to 20 times larger.
const LARGEST: u64 = 200;

/// Names by their hashes.
pub struct Names {
    text: Vec<u8>,
    known: HashMap<u64, Range<usize>, BuildHasherDefault<Spread>>,
    /// Whether a part was compressed.
    pub packed: bool,
}

impl Names {
    /// Unpacks and hashes them.
    ///
    /// # Errors
    /// They are not well-formed.
    pub fn decode(packed: &[u8]) -> Found<Names> {
        let bad = || unknown("names that are not well-formed");
        let mut text = Vec::new();
        let (mut ranges, mut any_packed) = (Vec::new(), false);
        let mut rest = packed;
        while !rest.is_empty() {
            let size = number(&mut rest).ok_or_else(bad)?;
            let compressed =
                number(&mut rest).filter(|packed| *packed == 0 || size / LARGEST <= *packed).ok_or_else(bad)?;
            let begin = text.len();
            let length = if compressed == 0 { size } else { compressed };
            let part = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
            let (part, after) = part.ok_or_else(bad)?;
            if compressed == 0 {
                text.extend_from_slice(part);
            } else {
                any_packed = true;
                // What is claimed is read, no more, whatever is packed.
                ZlibDecoder::new(part).take(size.saturating_add(1)).read_to_end(&mut text).map_err(|_| bad())?;
            }
            if (text.len() - begin) as u64 != size {
                return Err(bad());
            }
            let mut from = begin;
            for name in text[begin..].split(|byte| *byte == SEPARATOR) {
                ranges.push(from..from + name.len());
                from += name.len() + 1;
            }
            // Parts of several objects are aligned.
            rest = &after[after.iter().position(|byte| *byte != 0).unwrap_or(after.len())..];
        }
        let mut known = HashMap::with_capacity_and_hasher(ranges.len(), BuildHasherDefault::default());
        for range in ranges {
            if range.is_empty() {
                return Err(bad());
            }
            let earlier = known.insert(name_hash(&text[range.clone()]), range.clone());
            if earlier.is_some_and(|earlier: Range<usize>| text[earlier] != text[range]) {
                return Err(unknown("two names of one hash"));
            }
        }
        Ok(Names { text, known, packed: any_packed })
    }

    /// The name of this hash.
    pub fn get(&self, hash: u64) -> Option<&[u8]> {
        self.known.get(&hash).and_then(|range| self.text.get(range.clone()))
    }

    /// All of them, in no order that means anything.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.known.values().filter_map(|range| self.text.get(range.clone()))
    }

    /// How long they are together.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

const SEPARATOR: u8 = 1;

/// A number of seven bits a byte, the lowest first (LEB128).
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
