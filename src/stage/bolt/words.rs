//! llvm-bolt's command line, as llvm-bolt reads it. Unaware of what the options do.

use std::fmt::{self, Display};

use crate::plan::Arg;

/// An option as llvm-bolt reads it: with one dash or two, its value behind a `=` or in a word of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without dashes.
    pub name: String,
    /// Empty where there is none.
    pub value: String,
}

impl Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let equals = if self.value.is_empty() { "" } else { "=" };
        write!(f, "-{}{equals}{}", self.name, self.value)
    }
}

/// The options among arguments.
pub fn words(options: &[Arg]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for text in options.iter().map(Arg::symbolic) {
        match text.strip_prefix('-') {
            Some(option) => {
                let option = option.trim_start_matches('-');
                let (name, value) = option.split_once('=').unwrap_or((option, ""));
                words.push(Word { name: name.into(), value: value.into() });
            }
            None => words
                .last_mut()
                .filter(|word| word.value.is_empty())
                .into_iter()
                .for_each(|word| word.value = text.clone()),
        }
    }
    words
}

/// Whether a switch is on. The last one counts.
pub fn is_on(options: &[Arg], name: &str) -> bool {
    let words = words(options);
    words
        .iter()
        .rfind(|word| word.name == name)
        .is_some_and(|word| !matches!(word.value.as_str(), "0" | "false" | "False" | "FALSE"))
}
