//! What is printed when the run ends.

use super::super::github;
use super::super::summary::{closing, shown, table};
use super::{Console, Mode};
use crate::event::Outcome;
use crate::text;

impl Console {
    pub(super) fn close(&mut self) -> anyhow::Result<()> {
        self.running.clear();
        self.screen.clear();
        let again = self.again();
        if !self.quiet() && !self.summary.nothing_to_do() {
            self.screen.gap()?;
            let bars = self.terminal();
            let style = table::Style { width: self.width(), paint: self.paint, bars };
            let table = table::render(&self.summary, self.options.previous.as_ref(), style);
            if !table.is_empty() {
                self.print(&table)?;
                self.screen.gap()?;
            }
            for shown in shown(&self.summary) {
                let content = format!("{}\n", shown.text.trim_end());
                let title = self.paint.bold(&shown.title);
                self.print(&title)?;
                self.print(&if self.github() { github::verbatim(&content) } else { content })?;
                self.screen.gap()?;
            }
            let failures = closing::failures(&self.summary);
            failures.iter().try_for_each(|failure| self.print(failure))?;
            self.screen.gap()?;
        }
        let remedies = closing::remedies(&self.summary, &again);
        if !remedies.is_empty() {
            self.print("To go on:")?;
            remedies.iter().try_for_each(|line| self.print(&text::indent(line, 2)))?;
            self.screen.gap()?;
        }
        let verdict = closing::verdict(&self.summary, &again);
        let verdict = match (self.options.mode, self.summary.outcome) {
            (Mode::Terminal { .. }, Some(Outcome::Done)) => self.paint.good(&verdict),
            (Mode::Terminal { .. }, Some(Outcome::Failed)) => self.paint.bad(&verdict),
            (Mode::Terminal { .. }, _) => self.paint.warn(&verdict),
            _ => verdict,
        };
        self.print(&verdict)
    }
}
