//! Words for a shell, quoted where they must be.

/// A word that a shell reads as exactly this text. An empty text is `''`.
pub fn quote(word: &str) -> String {
    // An equals sign needs quotes only in a word that begins a command.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+/.,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    // A shell has no way to write the character NUL, and no argument can hold it.
    let word = word.replace('\0', "");
    match word.contains('\'') {
        // Between double quotes these mean something.
        true if !word.contains(['"', '$', '`', '\\', '!']) => format!("\"{word}\""),
        _ => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Words as one command line.
pub fn join<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}
