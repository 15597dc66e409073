//! Patterns of paths, as people write them for the files of a tree.
//!
//! | written | means |
//! |---|---|
//! | `?` | one byte, but no `/` |
//! | `*` | any number of them, but no `/` |
//! | `**` as a whole component | any number of directories, none included; at the end, everything below |
//! | `[ab]`, `[a-z]`, `[!a]` | one of these bytes; any byte but these, also `/` |
//! | `{a,b}` | one of these patterns |
//! | `\x` | the byte `x` itself |
//!
//! Unaware of files: what is matched need not exist.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Patterns. A path matches if one of them does.
#[derive(Debug, Default, Clone)]
pub struct Globs {
    /// Without alternatives.
    patterns: Vec<String>,
}

impl Globs {
    /// # Errors
    /// What is wrong with one of them.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Globs, String> {
        let mut globs = Globs::default();
        for pattern in patterns {
            expand(String::new(), pattern.as_ref(), &mut globs.patterns)?;
        }
        Ok(globs)
    }

    /// Whether the whole path matches.
    pub fn is_match(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref().as_os_str().as_bytes();
        self.patterns.iter().any(|pattern| matches(pattern.as_bytes(), path, true))
    }
}

/// Adds the patterns that one with alternatives stands for. `done` is the part without them.
fn expand(mut done: String, mut rest: &str, all: &mut Vec<String>) -> Result<(), String> {
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '\\' => 1 + rest[1..].chars().next().ok_or("`\\` stands at the end")?.len_utf8(),
            '[' => class(rest.as_bytes()).ok_or("`[` has no `]`")?.length,
            '{' => {
                let (alternatives, after) = alternatives(&rest[1..])?;
                for alternative in alternatives {
                    expand(done.clone(), &format!("{alternative}{after}"), all)?;
                }
                return Ok(());
            }
            '}' => return Err("`}` has no `{`".into()),
            other => other.len_utf8(),
        };
        done.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    all.push(done);
    Ok(())
}

/// What stands between `{` and `}`, and what follows.
fn alternatives(text: &str) -> Result<(Vec<&str>, &str), String> {
    let (mut depth, mut begin, mut found, mut index) = (0, 0, Vec::new(), 0);
    while let Some(next) = text[index..].chars().next() {
        let mut length = next.len_utf8();
        match next {
            '\\' => length += text[index + 1..].chars().next().map_or(0, char::len_utf8),
            '[' => length = class(text[index..].as_bytes()).map_or(1, |class| class.length),
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&text[begin..index]);
                return Ok((found, &text[index + 1..]));
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&text[begin..index]);
                begin = index + 1;
            }
            _ => {}
        }
        index += length;
    }
    Err("`{` has no `}`".into())
}

/// `[a-z]` at the beginning of a pattern.
struct Class<'a> {
    negated: bool,
    members: &'a [u8],
    /// With its brackets.
    length: usize,
}

fn class(pattern: &[u8]) -> Option<Class<'_>> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = 1 + usize::from(negated);
    // A `]` that comes first is a member.
    let end = pattern.iter().skip(first + 1).position(|byte| *byte == b']')? + first + 1;
    Some(Class { negated, members: &pattern[first..end], length: end + 1 })
}

impl Class<'_> {
    fn has(&self, byte: u8) -> bool {
        let mut members = self.members;
        loop {
            match members {
                [] => return self.negated,
                [from, b'-', to, ..] if (*from..=*to).contains(&byte) => return !self.negated,
                [_, b'-', _, rest @ ..] => members = rest,
                [member, ..] if *member == byte => return !self.negated,
                [_, rest @ ..] => members = rest,
            }
        }
    }
}

/// Whether a path matches; both are the rest of what was given, which begins a component if `start` is true.
fn matches(pattern: &[u8], path: &[u8], start: bool) -> bool {
    if let (true, Some(rest)) = (start, pattern.strip_prefix(b"**")) {
        if rest.is_empty() {
            return true;
        }
        if let Some(rest) = rest.strip_prefix(b"/") {
            let below = |(index, byte): (usize, &u8)| *byte == b'/' && matches(rest, &path[index + 1..], true);
            return matches(rest, path, true) || path.iter().enumerate().any(below);
        }
    }
    let next = path.first().copied();
    let inside = next.filter(|byte| *byte != b'/');
    match pattern {
        [] => path.is_empty(),
        [b'*', rest @ ..] => matches(rest, path, false) || inside.is_some() && matches(pattern, &path[1..], false),
        [b'?', rest @ ..] => inside.is_some() && matches(rest, &path[1..], false),
        [b'[', ..] => class(pattern).is_some_and(|class| {
            next.is_some_and(|byte| class.has(byte)) && matches(&pattern[class.length..], &path[1..], false)
        }),
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => next == Some(*byte) && matches(rest, &path[1..], *byte == b'/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, path: &str) -> bool {
        Globs::new([pattern]).unwrap().is_match(path)
    }

    /// The rules of glob(7) and gitignore(5).
    #[test]
    fn what_patterns_match() {
        for (pattern, yes, no) in [
            ("*.c", "a.c .c", "a.h sub/a.c a.cc"),
            ("a?c", "abc", "ac a/c abbc"),
            ("src/*.c", "src/a.c", "a.c src/sub/a.c other/a.c"),
            ("**/*.c", "a.c sub/a.c sub/sub/a.c", "a.h sub/a.h"),
            ("sub/**", "sub/a sub/sub/a", "sub other/a subs/a"),
            ("a/**/b", "a/b a/x/b a/x/y/b", "a/xb ab a/b/c"),
            ("**", "a a/b", ""),
            ("a**b", "ab axb", "a/b"),
            ("[a-c]x", "ax cx", "dx /x"),
            ("[!a-c]x", "dx /x", "ax"),
            ("[]x]", "] x", "a"),
            ("[a-]", "a -", "b"),
            ("*.{c,h}", "a.c a.h", "a.o a.{c,h}"),
            ("{a,b{1,2}}/x", "a/x b1/x b2/x", "b/x"),
            ("a\\*", "a*", "ab"),
            ("\\{a,b", "{a,b", "a"),
            ("lib*.so*", "libx.so libx.so.1", "libx.a x/libx.so"),
            ("ü?", "üa", "u"),
        ] {
            yes.split_whitespace().for_each(|path| assert!(is_match(pattern, path), "{pattern} matches {path}"));
            no.split_whitespace().for_each(|path| assert!(!is_match(pattern, path), "{pattern} does not match {path}"));
        }
        assert!(!Globs::default().is_match("a"));
    }

    #[test]
    fn patterns_that_are_none() {
        for (pattern, says) in [
            ("[a", "`[` has no `]`"),
            ("{a,b", "`{` has no `}`"),
            ("a}", "`}` has no `{`"),
            ("a\\", "`\\` stands at the end"),
        ] {
            assert_eq!(Globs::new([pattern]).unwrap_err(), says);
        }
    }
}
