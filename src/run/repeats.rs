//! Whether a program that writes much writes the same over and over, and what.
//!
//! | end of the log | it repeats itself if |
//! |---|---|
//! | lines | no more than a few of them differ in more than their numbers |
//! | hardly a line end | it is one text again and again |
//!
//! Unaware of why it is asked, and of what is done about it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::tail;
use crate::text;

/// So much of the end is looked at.
const BLOCK: usize = 64 * 1024;
/// From so many line ends on, it is lines.
const LINES: usize = 16;
/// So many lines that take turns are one repetition.
const DIFFERENT: usize = 3;
/// How often a text stands in the block at least.
const TIMES: usize = 4;
/// So far back it is looked where a line without an end begins.
const FARTHEST: u64 = 256 << 20;
/// Columns of a line that are shown.
const SHOWN: usize = 200;

/// The line that a log of this size ends in over and over, as a person would see it. None: it does not.
///
/// # Errors
/// The file cannot be read.
pub fn repeated(file: &File, size: u64) -> io::Result<Option<String>> {
    let Some(from) = size.checked_sub(BLOCK as u64) else { return Ok(None) };
    let mut block = vec![0; BLOCK];
    file.read_exact_at(&mut block, from)?;
    let line = if block.iter().filter(|byte| **byte == b'\n').count() > LINES {
        of_lines(&block).map(<[u8]>::to_vec)
    } else {
        of_text(&block, file, size)?
    };
    Ok(line.map(|line| text::truncate(&tail::plain(&line), SHOWN).into_owned()))
}

/// The most frequent of a few lines.
fn of_lines(block: &[u8]) -> Option<&[u8]> {
    let mut lines: Vec<&[u8]> = block.split(|byte| *byte == b'\n').collect();
    // Parts of lines.
    lines.pop();
    lines.remove(0);
    let mut seen: HashMap<Vec<u8>, (usize, &[u8])> = HashMap::new();
    for line in lines.into_iter().filter(|line| !line.trim_ascii().is_empty()) {
        let (times, last) = seen.entry(without_numbers(line)).or_default();
        (*times, *last) = (*times + 1, line);
        if seen.len() > DIFFERENT {
            return None;
        }
    }
    seen.into_values().max_by_key(|(times, _)| *times).map(|(_, line)| line)
}

/// Each number as `0`, whatever its length; a line that is nothing else stays as it is.
fn without_numbers(line: &[u8]) -> Vec<u8> {
    if !line.iter().any(u8::is_ascii_alphabetic) {
        return line.to_vec();
    }
    let mut text: Vec<u8> = line.iter().map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte }).collect();
    text.dedup_by(|a, b| *a == b'0' && *b == b'0');
    text
}

/// The text that the block consists of.
fn of_text(block: &[u8], file: &File, size: u64) -> io::Result<Option<Vec<u8>>> {
    let period = period(block);
    if period * TIMES > block.len() {
        return Ok(None);
    }
    let unit = &block[..period];
    // The block may begin in the middle of the text. The line begins with its beginning.
    if let Some(start) = line_start(file, size)?.filter(|start| start + period as u64 <= size) {
        let mut first = vec![0; period];
        file.read_exact_at(&mut first, start)?;
        if [unit, unit].concat().windows(period).any(|turned| turned == first) {
            return Ok(Some(first));
        }
    }
    Ok(Some(unit.to_vec()))
}

/// The length of the shortest text of which the block is a part when it is written again and again (Knuth, Morris and Pratt).
fn period(block: &[u8]) -> usize {
    // For each beginning of the block, how much of it is its end as well.
    let mut borders = vec![0; block.len() + 1];
    let mut border = 0;
    for end in 1..block.len() {
        while border > 0 && block[end] != block[border] {
            border = borders[border];
        }
        if block[end] == block[border] {
            border += 1;
        }
        borders[end + 1] = border;
    }
    block.len() - border
}

/// Where the last line begins, if that is not too far away.
fn line_start(file: &File, size: u64) -> io::Result<Option<u64>> {
    let mut part = vec![0; 1 << 20];
    let mut end = size;
    while end > 0 && size - end < FARTHEST {
        let from = end.saturating_sub(part.len() as u64);
        let part = &mut part[..usize::try_from(end - from).unwrap_or_default()];
        file.read_exact_at(part, from)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(from + at as u64 + 1));
        }
        end = from;
    }
    Ok((end == 0).then_some(0))
}
