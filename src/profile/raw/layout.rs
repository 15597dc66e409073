//! Where things lie in a raw profile, per version: the header's words, the fields of a record, the sections of a file.
//!
//! | version | LLVM | header | record | what came with it |
//! |---|---|---|---|---|
//! | 8 | 13 to 17 | 11 words | 48 bytes | two kinds of values: targets of calls, sizes of memory operations |
//! | 9 | 18 | 14 words | 64 bytes | a bitmap of conditions behind the counters |
//! | 10 | 19 to 22 | 16 words | 64 bytes | a third kind of values (virtual tables), which is refused |
//! | 11 | 23 | 19 words | 72 bytes | counters of accelerators behind the bitmap, which are refused |
//!
//! The source of the numbers is LLVM's `InstrProfData.inc` (`INSTR_PROF_RAW_HEADER`, `INSTR_PROF_DATA`) and `readHeader` in
//! `InstrProfReader.cpp`; of version 11 it is llvm/llvm-project#190708, no LLVM that writes it was at hand. Only 64-bit little-endian profiles of these versions are read. For everything else there is a
//! [`Refusal`] with the reason:
//!
//! | what is found | refusal |
//! |---|---|
//! | nothing at all | `Empty` |
//! | zeros only; an end within the header; sizes that no file has, or that are larger than the file | `Damaged` |
//! | value data that ends early; a gigabyte and more, with next to nothing on disk | `Damaged` |
//! | impossible counts (above 2^56) in more than one of a hundred functions | `Damaged` |
//! | another format, version, word size or byte order; a variant; records that are not laid out as compilers do it | `Unknown` |
//! | records, names or ids that are not those of the first file | `Different` |
//!
//! Unaware of what is in the sections.

use std::io;

/// The first eight bytes of what a 64-bit little-endian machine writes.
pub const MAGIC: [u8; 8] = *b"\x81rforpl\xff";
/// The longest header of a known version, in bytes.
pub const LONGEST_HEADER: usize = 19 * 8;

/// Flags of the version word that change nothing in how profiles are added: counters of the intermediate representation, of
/// its second level, with the entry's counter first, and with counters at the entries of loops.
const HARMLESS_FLAGS: u64 = 1 << 56 | 1 << 57 | 1 << 58 | 1 << 55;
/// The other flags that are known, and what they stand for.
const VARIANTS: [(u64, &str); 5] = [
    (1 << 59, "a profile without its records, which are in debug information"),
    (1 << 60, "coverage by single bytes"),
    (1 << 61, "coverage of functions' entries"),
    (1 << 62, "a profile of memory"),
    (1 << 63, "a profile of the order of calls"),
];

/// A version's sizes and offsets, in bytes unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub version: u32,
    pub header: usize,
    pub record: usize,
    /// The fields that differ between processes: words of a record.
    pub function_pointer: usize,
    pub values: usize,
    pub bitmap_pointer: Option<usize>,
    /// The number of counters (32 bits); behind it one 16-bit number of sites for each kind of value.
    pub counters: usize,
    pub kinds: usize,
    pub bitmap_bytes: Option<usize>,
    /// How many lanes of an accelerator counted together (16 bits); none of a processor.
    pub wave_size: Option<usize>,
    /// Words of the header that hold addresses of the process.
    names_delta: usize,
    bitmap_delta: Option<usize>,
}

const VERSION_8: Layout = Layout {
    version: 8,
    header: 11 * 8,
    record: 48,
    function_pointer: 3,
    values: 4,
    bitmap_pointer: None,
    counters: 40,
    kinds: 2,
    bitmap_bytes: None,
    wave_size: None,
    names_delta: 9,
    bitmap_delta: None,
};

const VERSION_9: Layout = Layout {
    version: 9,
    header: 14 * 8,
    record: 64,
    function_pointer: 4,
    values: 5,
    bitmap_pointer: Some(3),
    counters: 48,
    kinds: 2,
    bitmap_bytes: Some(56),
    wave_size: None,
    names_delta: 12,
    bitmap_delta: Some(11),
};

const VERSION_10: Layout = Layout { version: 10, header: 16 * 8, kinds: 3, bitmap_bytes: Some(60), ..VERSION_9 };

/// Behind the place of the counters there is one of those of an accelerator, in records as in the header.
const VERSION_11: Layout = Layout {
    version: 11,
    header: 19 * 8,
    record: 72,
    function_pointer: 5,
    values: 6,
    bitmap_pointer: Some(4),
    counters: 56,
    kinds: 3,
    bitmap_bytes: Some(68),
    wave_size: Some(66),
    names_delta: 15,
    bitmap_delta: Some(14),
};

/// Where the sections of one file begin and how long they are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sections {
    pub layout: Layout,
    /// Binary ids; they begin behind the header.
    pub ids: usize,
    pub records: usize,
    pub records_at: usize,
    pub counters: usize,
    pub counters_at: usize,
    pub bitmap: usize,
    pub bitmap_at: usize,
    pub names: usize,
    pub names_at: usize,
    /// Value data, up to the end of the file.
    pub values_at: usize,
    pub counters_delta: u64,
    pub bitmap_delta: u64,
}

/// Why a file is not added up here.
#[derive(Debug)]
pub enum Refusal {
    /// It has no content.
    Empty,
    /// llvm-profdata may understand it.
    Unknown(String),
    /// It is broken by its own account.
    Damaged(String),
    /// It differs from the first of its group in more than counts, so it is of another build.
    Different,
    /// A sum could become larger than llvm-profdata takes, so it belongs into another sum of the same build.
    Full,
    /// Reading it failed, which says nothing about its content.
    Unreadable(io::Error),
}

/// Something that was read, or why it was not.
pub type Found<T> = Result<T, Refusal>;

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Unreadable(error)
    }
}

/// What is counted beside a processor.
pub(super) const ACCELERATOR: &str = "counters of an accelerator";

/// What begins with another magic number.
fn foreign(head: &[u8]) -> &'static str {
    match head.get(..8) {
        Some(b"\x81Rforpl\xff") => "a raw profile of a 32-bit program",
        Some(b"\xfflprofr\x81" | b"\xfflprofR\x81") => "a raw profile of a big-endian machine",
        Some(b"\xfflprofi\x81") => "an indexed profile",
        _ => "not a raw profile",
    }
}

pub(in crate::profile) fn unknown(why: impl Into<String>) -> Refusal {
    Refusal::Unknown(why.into())
}

pub(in crate::profile) fn damaged(why: impl Into<String>) -> Refusal {
    Refusal::Damaged(why.into())
}

/// The bytes that begin at this place. Zeros if they are not all there.
#[inline]
fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = at.checked_add(N).and_then(|end| bytes.get(at..end));
    found.and_then(|found| found.try_into().ok()).unwrap_or([0; N])
}

/// The 64-bit number that begins at this byte. Zero beyond the end.
#[inline]
pub(in crate::profile) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

/// The same of 32 bits.
#[inline]
pub(in crate::profile) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

/// The same of 16 bits.
#[inline]
pub(in crate::profile) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

/// How many bytes are missing to a multiple of eight.
#[inline]
pub(in crate::profile) fn padding(bytes: usize) -> usize {
    bytes.wrapping_neg() % 8
}

impl Sections {
    /// Reads a header: the first [`LONGEST_HEADER`] bytes of a file, or all of a shorter one.
    ///
    /// # Errors
    /// Not a profile that is added up here, or one that is shorter than its header says.
    pub fn parse(head: &[u8], file: u64) -> Found<Sections> {
        if file == 0 {
            return Err(Refusal::Empty);
        }
        if head.get(..8) != Some(&MAGIC) {
            let zeros = head.iter().all(|byte| *byte == 0);
            return Err(if zeros { damaged("it is filled with zeros") } else { unknown(foreign(head)) });
        }
        if head.len() < 16 {
            return Err(damaged("it ends within its header"));
        }
        let version = u64_at(head, 8);
        let layout = match version as u32 {
            8 => VERSION_8,
            9 => VERSION_9,
            10 => VERSION_10,
            11 => VERSION_11,
            other => return Err(unknown(format!("raw version {other}"))),
        };
        if let Some((_, name)) = VARIANTS.iter().find(|(flag, _)| version & flag != 0) {
            return Err(unknown(*name));
        }
        if version >> 32 << 32 & !HARMLESS_FLAGS != 0 {
            return Err(unknown("a variant of raw profiles"));
        }
        if head.len() < layout.header {
            return Err(damaged("it ends within its header"));
        }
        let field = |number: usize| u64_at(head, number * 8);
        if field(layout.header / 8 - 1) != layout.kinds as u64 - 1 {
            return Err(unknown("other kinds of values"));
        }
        if field(3) == 0 && field(5) != 0 {
            return Err(unknown("a profile without its records, which are in the program"));
        }
        // How many virtual tables there are, and how long their names.
        let tables = layout.header / 8 - 3;
        if layout.kinds > 2 && (field(tables) != 0 || field(tables + 1) != 0) {
            return Err(unknown("profiles of virtual tables"));
        }
        let (bitmap, after_bitmap, rest) = match layout.version {
            11 if field(9) != 0 => return Err(unknown(ACCELERATOR)),
            11 => (field(7), field(8).saturating_add(field(10)), 12),
            9 | 10 => (field(7), field(8), 9),
            _ => (0, 0, 7),
        };
        let place = || -> Option<Sections> {
            let size = |number: u64| usize::try_from(number).ok();
            let ids = size(field(2))?;
            let records = size(field(3))?.checked_mul(layout.record)?;
            let counters = size(field(5))?.checked_mul(8)?;
            let (bitmap, names) = (size(bitmap)?, size(field(rest))?);
            let records_at = layout.header.checked_add(ids)?;
            let counters_at = records_at.checked_add(records)?.checked_add(size(field(4))?)?;
            let bitmap_at = counters_at.checked_add(counters)?.checked_add(size(field(6))?)?;
            let names_at = bitmap_at.checked_add(bitmap)?.checked_add(size(after_bitmap)?)?;
            let values_at = names_at.checked_add(names)?.checked_add(padding(names))?;
            let (counters_delta, bitmap_delta) = (field(rest + 1), layout.bitmap_delta.map_or(0, field));
            #[rustfmt::skip]
            let sections = Sections {
                layout, ids, records, records_at, counters, counters_at, bitmap, bitmap_at, names, names_at, values_at,
                counters_delta, bitmap_delta,
            };
            Some(sections)
        };
        let sections = place().ok_or_else(|| damaged("its header names sizes that no file has"))?;
        if sections.values_at as u64 > file {
            return Err(damaged(format!("it is cut off: {file} bytes of at least {}", sections.values_at)));
        }
        if sections.ids % 8 != 0 || sections.records_at % 8 != 0 || sections.counters_at % 8 != 0 {
            return Err(unknown("sections that are not aligned"));
        }
        Ok(sections)
    }

    /// Where a record's counters begin in their section. The difference between both sections was written at the first record,
    /// and is one record less at each following one.
    pub fn counters_of(&self, record: &[u8], number: usize) -> usize {
        self.offset(record, number, 2, self.counters_delta)
    }

    /// Where a record's bits begin in the bitmap, and how many bytes they are. None: it has none.
    pub fn bits_of(&self, record: &[u8], number: usize) -> Option<(usize, usize)> {
        let bytes = self.layout.bitmap_bytes.map_or(0, |at| u32_at(record, at) as usize);
        let pointer = self.layout.bitmap_pointer.filter(|_| bytes > 0)?;
        Some((self.offset(record, number, pointer, self.bitmap_delta), bytes))
    }

    fn offset(&self, record: &[u8], number: usize, pointer: usize, delta: u64) -> usize {
        let passed = (number as u64).wrapping_mul(self.layout.record as u64);
        u64_at(record, pointer * 8).wrapping_sub(delta.wrapping_sub(passed)) as usize
    }

    /// The header without what differs between processes of one binary.
    pub fn signature(&self, head: &[u8]) -> Vec<u8> {
        let mut signature = head.get(..self.layout.header).unwrap_or(head).to_vec();
        let unused = self.layout.bitmap_delta.filter(|_| self.bitmap == 0);
        for number in [Some(self.layout.names_delta), unused].into_iter().flatten() {
            if let Some(word) = signature.get_mut(number * 8..number * 8 + 8) {
                word.fill(0);
            }
        }
        signature
    }
}
