//! How text is to look: colour, where it is wanted, and how wide it may be; and tables as text, columns two spaces apart and no spaces at
//! ends of lines, and as Markdown.
//!
//! A table that is too wide is wrapped between words. Each column has an equal part of the space that is left, until all have a width:
//!
//! | column | its width |
//! |---|---|
//! | needs no more than its part | what it needs |
//! | needs clearly less than its part once it is wrapped | its longest line |
//! | any other | its part |
//!
//! Decides nothing: whoever makes a [`Look`] has looked at the terminal and at `NO_COLOR`.

use anstyle::{AnsiColor, Style};

use crate::text;

/// Colours text, or leaves it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint {
    pub color: bool,
}

/// What a text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
    Busy,
    Dim,
    Bold,
}

impl Paint {
    pub const PLAIN: Paint = Paint { color: false };

    pub fn good(self, text: &str) -> String {
        self.toned(Tone::Good, text)
    }
    pub fn bad(self, text: &str) -> String {
        self.toned(Tone::Bad, text)
    }
    pub fn warn(self, text: &str) -> String {
        self.toned(Tone::Warn, text)
    }
    pub fn busy(self, text: &str) -> String {
        self.toned(Tone::Busy, text)
    }
    pub fn dim(self, text: &str) -> String {
        self.toned(Tone::Dim, text)
    }
    pub fn bold(self, text: &str) -> String {
        self.toned(Tone::Bold, text)
    }

    pub fn toned(self, tone: Tone, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Busy => AnsiColor::Cyan.on_default(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Bold => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// How a text is to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    pub paint: Paint,
}

impl Default for Look {
    /// For a file or a pipe.
    fn default() -> Look {
        Look { width: 120, paint: Paint::PLAIN }
    }
}

/// Between columns.
const GAP: usize = 2;
/// A line that has no more room than this is full.
const FULL: usize = 2;
/// A wrapped column that leaves at least so much of its part gives it back.
const SPARE: usize = 3;

/// A table that is being filled.
#[derive(Debug, Clone)]
pub struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// Rows whose second cell has the place of all columns but the first.
    notes: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    /// Set flush right.
    right: bool,
}

/// A text in a table. It may have several lines.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Tone::Plain.cell(text)
    }
}

impl Tone {
    pub(super) fn cell(self, text: impl Into<String>) -> Cell {
        Cell { text: text.into(), tone: self }
    }
}

impl Cell {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn wrapped(&self, width: usize) -> Vec<String> {
        let lines = self.text.lines();
        lines
            .flat_map(|line| if text::width(line) > width { wrap(line, width) } else { vec![line.to_owned()] })
            .collect()
    }
}

impl Grid {
    /// Columns by their names. A name that begins with `>` is that of a column of numbers, set flush right.
    pub fn new<S: AsRef<str>>(columns: impl IntoIterator<Item = S>) -> Grid {
        let column = |name: S| match name.as_ref().strip_prefix('>') {
            Some(name) => Column { name: name.to_owned(), right: true },
            None => Column { name: name.as_ref().to_owned(), right: false },
        };
        Grid { columns: columns.into_iter().map(column).collect(), rows: Vec::new(), notes: Vec::new() }
    }

    /// A row with a text in the place of all columns but the first.
    pub fn note(&mut self, first: impl Into<Cell>, text: impl Into<Cell>) {
        self.notes.push(self.rows.len());
        self.rows.push(vec![first.into(), text.into()]);
    }

    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Leaves out columns in which every cell is empty.
    pub fn compact(mut self) -> Grid {
        for index in (0..self.columns.len()).rev() {
            if self.cells_of(index).all(Cell::is_empty) {
                self.columns.remove(index);
                let rows = self.rows.iter_mut().enumerate().filter(|(row, _)| index == 0 || !self.notes.contains(row));
                rows.filter(|(_, row)| row.len() > index).for_each(|(_, row)| _ = row.remove(index));
            }
        }
        self
    }

    /// What stands in a column.
    fn cells_of(&self, column: usize) -> impl Iterator<Item = &Cell> {
        let rows = self.rows.iter().enumerate().filter(move |(row, _)| column == 0 || !self.notes.contains(row));
        rows.filter_map(move |(_, row)| row.get(column))
    }

    /// How wide it is when nothing is wrapped.
    pub fn natural_width(&self) -> usize {
        (0..self.columns.len()).map(|column| self.longest(column, None)).sum::<usize>() + self.gaps()
    }

    fn gaps(&self) -> usize {
        GAP * self.columns.len().saturating_sub(1)
    }

    /// The longest line of a column, wrapped to a width.
    fn longest(&self, column: usize, width: Option<usize>) -> usize {
        let cells = self.cells_of(column).map(|cell| cell.text.as_str());
        let lines = cells.chain([self.columns[column].name.as_str()]).flat_map(str::lines);
        let longest = |line: &str| match width {
            Some(width) if text::width(line) > width => {
                wrap(line, width).iter().map(|line| text::width(line)).max().unwrap_or(0)
            }
            _ => text::width(line),
        };
        lines.map(longest).max().unwrap_or(0)
    }

    /// The widths of the columns where there are so many columns in all; see above.
    fn widths(&self, width: usize) -> Vec<usize> {
        let mut left = width.saturating_sub(self.gaps());
        let mut widths = vec![None; self.columns.len()];
        let fits = |column, part| Some(self.longest(column, None)).filter(|longest| *longest <= part);
        let spares = |column, part| Some(self.longest(column, Some(part))).filter(|longest| longest + SPARE <= part);
        let rules: [&dyn Fn(usize, usize) -> Option<usize>; 2] = [&fits, &spares];
        for rule in rules {
            // Each column that gets less leaves more for the others.
            loop {
                let mut found = false;
                for column in 0..widths.len() {
                    let open = widths.iter().filter(|width| width.is_none()).count();
                    if widths[column].is_none()
                        && let Some(width) = rule(column, left / open)
                    {
                        widths[column] = Some(width);
                        left = left.saturating_sub(width);
                        found = true;
                    }
                }
                if !found {
                    break;
                }
            }
        }
        let mut open = widths.iter().filter(|width| width.is_none()).count();
        let mut part = || {
            let part = left.div_ceil(open.max(1)).max(1);
            left = left.saturating_sub(part);
            open = open.saturating_sub(1);
            part
        };
        widths.into_iter().map(|width| width.unwrap_or_else(&mut part)).collect()
    }

    /// The table, wrapped where it is wider than `width`. Every line ends in a line feed.
    pub fn render(&self, width: usize, paint: Paint) -> String {
        let mut out = String::new();
        if self.is_empty() {
            return out;
        }
        let widths = self.widths(width);
        let header: Vec<Cell> = self.columns.iter().map(|column| Tone::Bold.cell(&column.name)).collect();
        let header = header.iter().any(|cell| !cell.is_empty()).then_some(&header);
        let columns = widths;
        let rows = self.rows.iter().enumerate().map(|(row, cells)| (cells, self.notes.contains(&row)));
        for (row, note) in header.into_iter().map(|header| (header, false)).chain(rows) {
            let widths = match (note, columns.as_slice()) {
                (true, [first, rest @ ..]) => {
                    vec![*first, rest.iter().sum::<usize>() + GAP * rest.len().saturating_sub(1)]
                }
                _ => columns.clone(),
            };
            let cells: Vec<Vec<String>> = row.iter().zip(&widths).map(|(cell, width)| cell.wrapped(*width)).collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0).max(1) {
                let mut text = String::new();
                for (index, cell) in row.iter().enumerate().take(widths.len()) {
                    let part = cells[index].get(line).map_or("", String::as_str);
                    let part = paint.toned(cell.tone, part);
                    let pad = if self.columns[index].right && !note { text::pad_left } else { text::pad };
                    text.push_str(&pad(&part, widths[index]));
                    text.push_str(&" ".repeat(GAP));
                }
                out.push_str(text.trim_end());
                out.push('\n');
            }
        }
        out
    }

    /// The table as Markdown. A row whose first cell is bold is bold, and lines of a cell stay lines.
    pub fn markdown(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let cells = cells.map(|cell| if cell.is_empty() { " |".into() } else { format!(" {cell} |") });
            format!("|{}\n", cells.collect::<String>())
        };
        let cell = |cell: &Cell, bold: bool| match cell.text.lines().map(escape).collect::<Vec<_>>().join("<br>") {
            text if bold && !text.is_empty() => format!("**{text}**"),
            text => text,
        };
        let mut out = line(&mut self.columns.iter().map(|column| escape(&column.name)));
        let rule = |column: &Column| if column.right { "--:|" } else { ":--|" };
        out.push_str(&format!("|{}\n", self.columns.iter().map(rule).collect::<String>()));
        for row in &self.rows {
            let bold = row.first().is_some_and(|first| first.tone == Tone::Bold);
            // Every row has all columns.
            let missing = (row.len()..self.columns.len()).map(|_| String::new());
            out.push_str(&line(&mut row.iter().map(|text| cell(text, bold)).chain(missing)));
        }
        out
    }
}

/// Splits a line between words; a word that is longer than the width, where it must be.
pub fn wrap(line: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let (mut lines, mut current) = (Vec::new(), String::new());
    let mut words: Vec<&str> = line.split(' ').rev().collect();
    while let Some(word) = words.pop() {
        let gap = usize::from(!current.is_empty());
        let room = width.saturating_sub(text::width(&current) + gap);
        let length = text::width(word);
        if length > width && (gap == 0 || room > FULL) {
            // As much of the word as there is room for.
            let (head, tail) = split(word, room, gap == 0);
            current.push_str(&" ".repeat(gap));
            current.push_str(head);
            words.push(tail);
            lines.push(std::mem::take(&mut current));
        } else if length > room {
            lines.push(std::mem::take(&mut current));
            words.push(word);
        } else {
            current.push_str(&" ".repeat(gap));
            current.push_str(word);
            if !current.is_empty() && text::width(&current) + FULL > width {
                lines.push(std::mem::take(&mut current));
            }
        }
    }
    lines.extend((!current.is_empty()).then_some(current));
    lines
}

/// A word in two, the first of which is no wider than `room`. `some`: but has a character at least.
fn split(word: &str, room: usize, some: bool) -> (&str, &str) {
    let mut used = 0;
    let fits = |(index, char): &(usize, char)| {
        used += text::width(char.encode_utf8(&mut [0; 4]));
        used <= room || (some && *index == 0)
    };
    let end = word.char_indices().take_while(fits).last().map_or(0, |(index, char)| index + char.len_utf8());
    word.split_at(end)
}

/// Text that Markdown leaves as it is, in one line, also in a cell of a table. Code in backticks stays code.
pub(super) fn escape(text: &str) -> String {
    let paired = text.matches('`').count().is_multiple_of(2);
    let mut in_code = false;
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '`' if paired => {
                in_code = !in_code;
                escaped.push(char);
            }
            '\n' | '\r' => escaped.push(' '),
            '|' => escaped.push_str("\\|"),
            _ if in_code => escaped.push(char),
            '`' | '*' | '_' | '\\' | '[' | ']' | '~' => escaped.extend(['\\', char]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            _ => escaped.push(char),
        }
    }
    escaped
}
