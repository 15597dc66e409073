//! Values in a script for `sh`: each is written so that the shell reads exactly this text, wherever it stands.
//!
//! A value whose characters mean nothing to a shell stands as it is. Any other is written as its place needs:
//!
//! | place | how |
//! |---|---|
//! | alone, or as part of a word | in quotes: `'a b'` |
//! | between double quotes, in a here-document | with `\` before what means something there |
//! | between single quotes | a quote as `'\''` |
//! | in a comment, in a here-document with a quoted end | as it is, if it is one line |
//! | in `"${…}"` | as between double quotes, without characters of patterns and single quotes |
//! | in `` `…` ``, in `$((…))`, behind `\` or `$` | not at all: [`Unfit`] |
//!
//! The script is read as POSIX describes the shell's language, as far as that says where words, quotes and substitutions begin and end.
//! Where that is not certain (`$'…'`, a quote that is not closed), a value that needs care is refused as well. What a program makes of
//! an argument is not known: a value in `sh -c '…'` stands between single quotes, and is code in there.

use super::shell;

/// A part of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What the author wrote.
    Text(&'a str),
    Value {
        text: &'a str,
        /// How an error calls it: a secret is not shown.
        name: &'a str,
    },
    /// What stands for a value that is not known or not shown: as it is.
    Mark(&'a str),
}

/// A value that cannot be written where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the script cannot hold `{name}`: the path has characters that mean something to a shell, and it stands {place}; give it to the \
     script as a variable of `env`, and write \"$NAME\""
)]
pub struct Unfit {
    pub name: String,
    pub place: &'static str,
}

/// Puts a script together.
///
/// # Errors
/// A value stands where the shell has no way to write it.
pub fn join(pieces: &[Piece]) -> Result<String, Unfit> {
    let plain = |piece: &Piece| !matches!(piece, Piece::Value { text, .. } if needs_care(text));
    if pieces.iter().all(plain) {
        return Ok(pieces.iter().map(|piece| piece.text()).collect());
    }
    let reader = read(pieces);
    if let Some(unfit) = reader.unfit {
        return Err(unfit);
    }
    match reader.careful.filter(|_| reader.uncertain || !reader.pending.is_empty()) {
        Some(name) => Err(Unfit { name: name.into(), place: "in a script whose quotes are not certain" }),
        None => Ok(reader.out),
    }
}

/// Where each of the values stands, in their order.
pub fn places(pieces: &[Piece]) -> Vec<Place> {
    read(pieces).places
}

fn read<'a>(pieces: &[Piece<'a>]) -> Reader<'a> {
    let mut tokens = Vec::new();
    for piece in pieces {
        match *piece {
            Piece::Text(text) => tokens.extend(text.chars().map(Token::Char)),
            Piece::Value { text, name } => tokens.push(Token::Value { text, name }),
            Piece::Mark(text) => tokens.push(Token::Mark(text)),
        }
    }
    let mut reader = Reader { tokens, ..Reader::default() };
    reader.commands(false);
    reader
}

impl<'a> Piece<'a> {
    fn text(self) -> &'a str {
        match self {
            Piece::Text(text) | Piece::Value { text, .. } | Piece::Mark(text) => text,
        }
    }
}

/// Whether a shell could read something else.
fn needs_care(value: &str) -> bool {
    shell::quote(value) != value
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Char(char),
    Value { text: &'a str, name: &'a str },
    Mark(&'a str),
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Alone, or in a word.
    Word,
    /// Between double quotes.
    Double,
    /// `"${x-…}"`
    Parameter,
    /// Between single quotes.
    Single,
    /// A here-document in which the shell replaces variables.
    Here,
    /// One in which it does not, or a comment.
    Verbatim,
    /// Where it cannot be written, in words.
    Nowhere(&'static str),
}

/// A here-document that begins with the next line.
#[derive(Debug)]
struct Here {
    end: String,
    /// `<<-`
    tabs: bool,
    verbatim: bool,
}

/// Reads a script and writes it with its values. Each function reads one construct, from behind what begins it to behind its end.
#[derive(Debug, Default)]
struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    out: String,
    places: Vec<Place>,
    pending: Vec<Here>,
    /// The first value that was written otherwise than it is.
    careful: Option<&'a str>,
    /// Something was read that shells read differently, or that has no end.
    uncertain: bool,
    unfit: Option<Unfit>,
}

impl<'a> Reader<'a> {
    /// The next token. Characters and marks are written at once.
    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        match token {
            Some(Token::Char(char)) => self.out.push(char),
            Some(Token::Mark(text)) => self.out.push_str(text),
            Some(Token::Value { .. }) | None => {}
        }
        token
    }

    /// Whether these characters come next.
    fn sees(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(index, char)| self.tokens.get(self.at + index) == Some(&Token::Char(char)))
    }

    /// Reads these characters, if they come next.
    fn takes(&mut self, text: &str) -> bool {
        let there = self.sees(text);
        if there {
            text.chars().for_each(|_| _ = self.next());
        }
        there
    }

    fn value(&mut self, text: &'a str, name: &'a str, place: Place) {
        self.places.push(place);
        if text.is_empty() || !needs_care(text) {
            // An empty word is a word.
            self.out.push_str(if text.is_empty() && place == Place::Word { "''" } else { text });
            return;
        }
        self.careful.get_or_insert(name);
        let escaped = |special: &[char]| {
            let chars =
                text.chars().map(|char| if special.contains(&char) { format!("\\{char}") } else { char.into() });
            chars.collect::<String>()
        };
        let written = match place {
            Place::Word => Ok(shell::quote(text)),
            Place::Double => Ok(escaped(&['"', '$', '`', '\\'])),
            // Behind `#` and `%` it is a pattern, and a quote is one to some shells.
            Place::Parameter if text.contains(['*', '?', '[', '\'']) => Err("in `\"${…}\"`"),
            Place::Parameter => Ok(escaped(&['"', '$', '`', '\\', '}'])),
            Place::Single => Ok(text.replace('\'', "'\\''")),
            Place::Here | Place::Verbatim if text.contains('\n') => Err("in a comment or a here-document"),
            Place::Here => Ok(escaped(&['$', '`', '\\'])),
            Place::Verbatim => Ok(text.to_owned()),
            Place::Nowhere(place) => Err(place),
        };
        match written {
            Ok(written) => self.out.push_str(&written),
            Err(place) => _ = self.unfit.get_or_insert(Unfit { name: name.into(), place }),
        }
    }

    /// Commands: the whole script, or those in `$(…)` up to its end.
    fn commands(&mut self, nested: bool) {
        let (mut parentheses, mut cases) = (0_usize, 0_usize);
        // The next word is the name of a command, or a word of the language.
        let mut first = true;
        let mut word = String::new();
        // What the word so far is; it ends here.
        let end = |word: &mut String, first: &mut bool, cases: &mut usize| {
            let ended = std::mem::take(word);
            if ended.is_empty() {
                return;
            }
            match ended.as_str() {
                "case" if *first => *cases += 1,
                "esac" if *first => *cases = cases.saturating_sub(1),
                _ => {}
            }
            *first =
                *first && ["do", "then", "else", "elif", "if", "while", "until", "!", "{"].contains(&ended.as_str());
        };
        while let Some(token) = self.next() {
            let char = match token {
                Token::Value { text, name } => {
                    // It is no word of the language.
                    word.push('/');
                    self.value(text, name, Place::Word);
                    continue;
                }
                Token::Mark(_) => '/',
                Token::Char(char) => char,
            };
            match char {
                ' ' | '\t' => end(&mut word, &mut first, &mut cases),
                '\n' | ';' | '&' | '|' => {
                    end(&mut word, &mut first, &mut cases);
                    first = true;
                    if char == '\n' {
                        self.here_documents();
                    }
                }
                '(' => {
                    end(&mut word, &mut first, &mut cases);
                    first = true;
                    parentheses += 1;
                }
                ')' => {
                    end(&mut word, &mut first, &mut cases);
                    first = true;
                    if parentheses > 0 {
                        parentheses -= 1;
                    } else if nested && cases == 0 {
                        return;
                    }
                }
                '<' | '>' => {
                    end(&mut word, &mut first, &mut cases);
                    if char == '<' && !self.sees("<<") && self.takes("<") {
                        self.here_begins();
                    }
                }
                '#' if word.is_empty() => self.comment(),
                _ => {
                    word.push(char);
                    match char {
                        '\\' => self.escaped(),
                        '\'' => self.single(),
                        '"' => self.double(),
                        '`' => self.backquotes(),
                        '$' => self.dollar(false),
                        _ => {}
                    }
                }
            }
        }
        self.uncertain |= nested;
    }

    /// The character behind a backslash.
    fn escaped(&mut self) {
        if let Some(Token::Value { text, name }) = self.next() {
            self.value(text, name, Place::Nowhere("behind a backslash"));
        }
    }

    fn comment(&mut self) {
        while !self.sees("\n") {
            match self.next() {
                Some(Token::Value { text, name }) => self.value(text, name, Place::Verbatim),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn single(&mut self) {
        loop {
            match self.next() {
                Some(Token::Char('\'')) => return,
                Some(Token::Value { text, name }) => self.value(text, name, Place::Single),
                Some(_) => {}
                None => return self.uncertain = true,
            }
        }
    }

    fn double(&mut self) {
        loop {
            match self.next() {
                Some(Token::Char('"')) => return,
                Some(Token::Char(char)) => self.within_quotes(char),
                Some(Token::Value { text, name }) => self.value(text, name, Place::Double),
                Some(Token::Mark(_)) => {}
                None => return self.uncertain = true,
            }
        }
    }

    /// What means something between double quotes.
    fn within_quotes(&mut self, char: char) {
        match char {
            '\\' => self.escaped(),
            '`' => self.backquotes(),
            '$' => self.dollar(true),
            _ => {}
        }
    }

    /// Behind a `$`.
    fn dollar(&mut self, quoted: bool) {
        if let Some(Token::Value { text, name }) = self.tokens.get(self.at).copied() {
            self.at += 1;
            self.value(text, name, Place::Nowhere("behind a `$`"));
        } else if self.takes("((") {
            self.arithmetic();
        } else if self.takes("(") {
            self.commands(true);
        } else if self.takes("{") {
            self.parameter(quoted);
        } else if !quoted && self.sees("'") {
            // Escapes to some shells, a dollar and a quoted text to others.
            self.uncertain = true;
        }
    }

    fn parameter(&mut self, quoted: bool) {
        loop {
            match self.next() {
                Some(Token::Char('}')) => return,
                Some(Token::Char('"')) => self.double(),
                Some(Token::Char('\'')) if !quoted => self.single(),
                Some(Token::Char(char)) => self.within_quotes(char),
                Some(Token::Value { text, name }) => {
                    self.value(text, name, if quoted { Place::Parameter } else { Place::Word });
                }
                Some(Token::Mark(_)) => {}
                None => return self.uncertain = true,
            }
        }
    }

    fn arithmetic(&mut self) {
        let mut open = 2;
        while open > 0 {
            match self.next() {
                Some(Token::Char('(')) => open += 1,
                Some(Token::Char(')')) => open -= 1,
                // It may be a command in a subshell after all.
                Some(Token::Char('\'' | '"' | '#')) => self.uncertain = true,
                Some(Token::Char(char)) => self.within_quotes(char),
                Some(Token::Value { text, name }) => self.value(text, name, Place::Nowhere("in `$((…))`")),
                Some(Token::Mark(_)) => {}
                None => return self.uncertain = true,
            }
        }
    }

    fn backquotes(&mut self) {
        loop {
            match self.next() {
                Some(Token::Char('`')) => return,
                Some(Token::Char('\\')) => self.escaped(),
                Some(Token::Value { text, name }) => self.value(text, name, Place::Nowhere("between backquotes")),
                Some(_) => {}
                None => return self.uncertain = true,
            }
        }
    }

    /// Behind `<<`: how the here-document ends.
    fn here_begins(&mut self) {
        let tabs = self.takes("-");
        while self.takes(" ") || self.takes("\t") {}
        let (mut end, mut verbatim, mut quote) = (String::new(), false, None);
        loop {
            let ends = |char: char| quote.is_none() && " \t\n;&|<>()".contains(char);
            match self.tokens.get(self.at).copied() {
                Some(Token::Char(char)) if !ends(char) => {
                    _ = self.next();
                    match (char, quote) {
                        (char, Some(open)) if char == open => quote = None,
                        ('\'' | '"', None) => (verbatim, quote) = (true, Some(char)),
                        ('\\', None) => verbatim = true,
                        _ => end.push(char),
                    }
                }
                Some(Token::Char(_)) => break,
                Some(Token::Value { .. } | Token::Mark(_)) | None => {
                    self.uncertain = true;
                    break;
                }
            }
        }
        self.pending.push(Here { end, tabs, verbatim });
    }

    /// At the beginning of a line: the here-documents that the line before has announced.
    fn here_documents(&mut self) {
        for here in std::mem::take(&mut self.pending) {
            self.here_document(&here);
        }
    }

    fn here_document(&mut self, here: &Here) {
        loop {
            while here.tabs && self.takes("\t") {}
            let behind = self.at + here.end.chars().count();
            let last = matches!(self.tokens.get(behind), None | Some(Token::Char('\n')));
            if last && self.sees(&here.end) {
                self.takes(&here.end);
                self.takes("\n");
                return;
            }
            loop {
                match self.next() {
                    Some(Token::Char('\n')) => break,
                    Some(Token::Char(char)) if !here.verbatim => self.within_quotes(char),
                    Some(Token::Value { text, name }) => {
                        self.value(text, name, if here.verbatim { Place::Verbatim } else { Place::Here });
                    }
                    Some(_) => {}
                    None => return self.uncertain = true,
                }
            }
        }
    }
}
