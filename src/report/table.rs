//! Tables without lines: columns two spaces apart, no spaces at ends of lines.
//!
//! Unaware of what is in them.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};

use super::paint::Paint;
use crate::text;

/// A table that is being filled.
pub(super) struct Grid {
    header: Vec<String>,
    right: Vec<usize>,
    rows: Vec<Vec<(String, Tone)>>,
}

/// What a cell's text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
    Dim,
    Bold,
}

impl Grid {
    pub fn new(header: &[&str]) -> Grid {
        Grid { header: header.iter().map(|&name| name.to_owned()).collect(), right: Vec::new(), rows: Vec::new() }
    }

    /// Columns of numbers.
    pub fn right(mut self, columns: &[usize]) -> Grid {
        self.right = columns.to_vec();
        self
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Tone)>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Leaves out columns in which every cell is empty.
    pub fn compact(mut self) -> Grid {
        let used: Vec<bool> = (0..self.header.len())
            .map(|column| self.rows.iter().any(|row| row.get(column).is_some_and(|(text, _)| !text.is_empty())))
            .collect();
        let keep = |column: &usize| used.get(*column).copied().unwrap_or(false);
        self.right = self.right.iter().filter(|column| keep(column)).map(|&column| moved(&used, column)).collect();
        for row in &mut self.rows {
            *row = std::mem::take(row).into_iter().enumerate().filter(|(i, _)| keep(i)).map(|(_, cell)| cell).collect();
        }
        self.header =
            std::mem::take(&mut self.header).into_iter().enumerate().filter(|(i, _)| keep(i)).map(|(_, h)| h).collect();
        self
    }

    /// How wide it is when nothing is wrapped.
    pub fn natural_width(&self) -> usize {
        let columns = (0..self.header.len()).map(|column| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).flat_map(|(text, _)| text.lines());
            cells.chain([self.header[column].as_str()]).map(text::width).max().unwrap_or(0)
        });
        columns.sum::<usize>() + 2 * self.header.len().saturating_sub(1)
    }

    /// The table, wrapped where it is wider than `width`. Every line ends in a line feed.
    pub fn render(&self, width: usize, paint: Paint) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut table = Table::new();
        table
            .load_style(comfy_table::presets::NOTHING)
            .force_no_tty()
            .set_content_arrangement(ContentArrangement::Dynamic);
        if paint.color {
            table.enforce_styling();
            table.style_text_only();
        }
        // The last column's padding is cut off again below.
        table.set_width(u16::try_from(width + 2).unwrap_or(u16::MAX));
        if self.header.iter().any(|name| !name.is_empty()) {
            table.set_header(self.header.iter().map(|name| styled(Cell::new(name), Tone::Bold)));
        }
        for row in &self.rows {
            table.add_row(row.iter().map(|(text, tone)| styled(Cell::new(text), *tone)));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if self.right.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

fn moved(used: &[bool], column: usize) -> usize {
    used.iter().take(column).filter(|&&used| used).count()
}

fn styled(cell: Cell, tone: Tone) -> Cell {
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Warn => cell.fg(Color::DarkYellow),
        Tone::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
        Tone::Bold => cell.add_attribute(Attribute::Bold),
    }
}
