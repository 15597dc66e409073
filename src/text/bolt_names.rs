//! Names of functions as llvm-bolt prints them, and as its options want them.
//!
//! | where | a local function `f`, the second of its name |
//! |---|---|
//! | symbol table | `f` |
//! | messages | `f/2`, and `f/2(*3)` if it has three names |
//! | `-skip-funcs` | a list of POSIX regular expressions that match a whole name, with commas between them |
//! | `-funcs-file-no-regex` | a file with a name in each line |
//!
//! Unaware of files and of what is done with the names.

/// How a line of llvm-bolt begins with which it gives up.
const ERROR: &str = "BOLT-ERROR:";
/// Words before a function's name in such a line. `function sort/1`, `parent function not found for sort.cold`, `detected in: sort`.
const BEFORE: [&str; 4] = ["function", "for", "in", "of"];
/// How llvm-bolt begins to print all that it knows of a function, which may follow an error.
const DUMP: &str = "Binary Function \"";
/// With `-v=1`, a line for each function that is left out: `BOLT-INFO: skipping processing sort/1(*2) per user request`.
const LEFT_OUT: (&str, &str) = ("BOLT-INFO: skipping processing ", " per user request");
/// Characters of names that mean nothing else in a regular expression.
const PLAIN: [char; 5] = ['_', '/', '@', ':', '-'];

/// llvm-bolt's option that leaves functions out.
pub fn skip_option<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let patterns: Vec<String> = names.into_iter().map(|name| pattern(name.as_ref())).collect();
    format!("-skip-funcs={}", patterns.join(","))
}

/// The regular expression that matches a name and nothing else. There is no backslash in it where that can be avoided: strings in
/// TOML want two.
pub fn pattern(name: &str) -> String {
    let mut pattern = String::new();
    for c in name.chars() {
        match c {
            // A bracket expression of this character alone would be that of all others; a comma would end the pattern.
            '^' => pattern.push_str("\\^"),
            ',' => pattern.push('.'),
            _ if c.is_alphanumeric() || PLAIN.contains(&c) => pattern.push(c),
            _ => pattern.extend(['[', c, ']']),
        }
    }
    pattern
}

/// The name in a message, without how many others the function has.
pub fn name(printed: &str) -> &str {
    match printed.strip_suffix(')').and_then(|rest| rest.rsplit_once("(*")) {
        Some((name, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => printed,
    }
}

/// The function that a line says is left out.
pub fn left_out(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix(LEFT_OUT.0)?.strip_suffix(LEFT_OUT.1).map(name)
}

/// Collects the functions that llvm-bolt gives up on from its output, line by line.
#[derive(Debug, Default)]
pub struct Blamed {
    names: Vec<String>,
    /// An error named no function: what is printed next may be the one.
    expects_dump: bool,
}

impl Blamed {
    /// Takes in a line. `is_function` knows the functions of the file: other words of a message may stand where names do.
    pub fn add(&mut self, line: &str, is_function: impl Fn(&str) -> bool) {
        let found = if let Some(message) = line.strip_prefix(ERROR) {
            let found = in_message(message, is_function);
            self.expects_dump = found.is_none();
            found
        } else {
            let dumped = line.trim_start().strip_prefix(DUMP).filter(|_| self.expects_dump);
            self.expects_dump &= dumped.is_none();
            dumped.and_then(|rest| rest.split_once('"')).map(|(printed, _)| name(printed))
        };
        let new = found.filter(|found| !self.names.iter().any(|known| known == found));
        self.names.extend(new.map(str::to_owned));
    }

    /// In the order in which they were named.
    pub fn names(self) -> Vec<String> {
        self.names
    }
}

/// The last word that is a function's name and stands where one can.
fn in_message(message: &str, is_function: impl Fn(&str) -> bool) -> Option<&str> {
    let words: Vec<&str> = message.split_ascii_whitespace().collect();
    let pairs = words.windows(2).rev();
    let mut named = pairs.filter(|pair| BEFORE.contains(&pair[0].trim_end_matches(':'))).filter_map(|pair| {
        let bare = pair[1].trim_matches(['\'', '"', '`', ':', ',', ';']);
        // A sentence ends with a full stop, and so can a name hardly.
        let names = [name(bare), name(bare.trim_end_matches('.'))];
        names.into_iter().find(|name| is_function(name))
    });
    named.next()
}
