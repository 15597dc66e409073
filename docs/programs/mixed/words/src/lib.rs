//! Counts words.
use std::collections::BTreeMap;
use std::sync::Mutex;

static WORDS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// # Safety
/// `line` has so many bytes.
#[no_mangle]
pub unsafe extern "C" fn words_add(line: *const u8, length: usize) {
    let line = String::from_utf8_lossy(std::slice::from_raw_parts(line, length));
    let mut words = WORDS.lock().unwrap();
    for word in line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_lowercase()).or_insert(0) += 1;
    }
}

#[no_mangle]
pub extern "C" fn words_most() -> u64 {
    WORDS.lock().unwrap().iter().map(|(word, count)| count * word.len() as u64).max().unwrap_or(0)
}
