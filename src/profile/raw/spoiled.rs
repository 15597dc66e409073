//! Functions of a profile whose counts no program can have reached: a bad counter costs its function, not the profile.
//!
//! Unaware of other files.

use super::counters::LARGEST;
use super::layout::{Refusal, damaged, half, word};
use super::template::Template;
use super::values::Seen;

/// What was left out of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoiled {
    /// How many functions, of how many.
    pub functions: usize,
    pub of: usize,
    /// The first of the counts.
    pub count: u64,
}

impl std::fmt::Display for Spoiled {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Spoiled { functions, of, count } = self;
        write!(to, "{functions} of {of} functions left out because of impossible counts, as {count}")
    }
}

/// Takes the functions out of a file's counters, bitmap and values that have a count above 2^56. None: there is none.
///
/// # Errors
/// They are more than one in a hundred: then nothing in the file can be trusted.
pub fn leave_out(
    template: &Template,
    counters: &mut [u8],
    bits: &mut [u8],
    seen: &mut Vec<Seen>,
) -> Result<Option<Spoiled>, Refusal> {
    let layout = template.sections.layout;
    let (mut functions, mut first, mut sites) = (0, 0, Vec::new());
    let mut sited = template.sited.iter().peekable();
    for (number, record) in template.records.chunks_exact(layout.record).enumerate() {
        let sited = sited.next_if(|sited| sited.record == number);
        let at = template.sections.counters_of(record, number);
        let own = counters.get_mut(at..at + 8 * half(record, layout.counters) as usize).unwrap_or_default();
        let bad = own.as_chunks::<8>().0.iter().map(|counter| u64::from_le_bytes(*counter)).find(|c| *c > LARGEST);
        let Some(count) = bad else { continue };
        functions += 1;
        first = if functions == 1 { count } else { first };
        own.fill(0);
        if let Some((at, length)) = template.sections.bits_of(record, number) {
            bits.get_mut(at..at + length).unwrap_or_default().fill(0);
        }
        sites.extend(sited.map(|sited| sited.first..sited.first + sited.number()));
    }
    let of = template.records.len() / layout.record;
    if functions > 1 + of / 100 {
        return Err(damaged(format!("{functions} of its {of} functions have impossible counts, as {first}")));
    }
    // Ranges ascend, as sites do.
    let mut sites = sites.into_iter().peekable();
    seen.retain(|seen| {
        while sites.next_if(|range| range.end <= seen.site).is_some() {}
        !sites.peek().is_some_and(|range| range.contains(&seen.site))
    });
    debug_assert!(counters.chunks_exact(8).all(|counter| word(counter, 0) <= LARGEST));
    Ok((functions > 0).then_some(Spoiled { functions, of, count: first }))
}
