//! SQL functions that scripts use besides those of SQLite.
//!
//! | function | value |
//! |---|---|
//! | `noise(n)` | a pseudo-random integer from 0 to 2⁶³ − 1, always the same for the same `n` |
//! | `words(text)` | how many words there are in a text |
//! | `slug(text)` | the text in lower case with `-` between the words |
//! | `fingerprint(value)` | a 64-bit hash of any value, in hexadecimal |

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Result};

use crate::output::Hash;

/// Makes the functions known to SQL on that connection.
pub fn add_to(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("noise", 1, flags, |context| Ok(noise(context.get(0)?)))?;
    connection
        .create_scalar_function("words", 1, flags, |context| Ok(words(context.get_raw(0).as_str()?).count() as i64))?;
    connection.create_scalar_function("slug", 1, flags, |context| Ok(slug(context.get_raw(0).as_str()?)))?;
    connection.create_scalar_function("fingerprint", 1, flags, |context| {
        let mut hash = Hash::default();
        hash.value(context.get_raw(0));
        Ok(hash.to_string())
    })
}

/// SplitMix64, without the sign.
fn noise(n: i64) -> i64 {
    let mut z = n.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 1).cast_signed()
}

/// Runs of letters and digits.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for word in words(text) {
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.extend(word.chars().flat_map(char::to_lowercase));
    }
    slug
}
