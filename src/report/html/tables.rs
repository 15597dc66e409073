//! Text that a stage wants shown. Tables as Markdown has them become tables; the rest stays as it is.

use maud::{Markup, html};

use super::parts;

pub(super) fn shown(text: &str) -> Markup {
    let mut lines = text.lines().peekable();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(rule) = lines.peek().filter(|_| is_row(line)).and_then(|next| rule(next)) {
            lines.next();
            let mut rows = Vec::new();
            while let Some(row) = lines.next_if(|line| is_row(line)) {
                rows.push(cells(row));
            }
            blocks.push(parts::scrolled(&table(&cells(line), &rule, &rows)));
            continue;
        }
        let mut plain = vec![line];
        while let Some(line) = lines.next_if(|line| !is_row(line)) {
            plain.push(line);
        }
        let plain = plain.join("\n");
        if !plain.trim().is_empty() {
            blocks.push(html! { pre { (plain.trim_matches('\n')) } });
        }
    }
    html! { @for block in blocks { (block) } }
}

fn table(header: &[String], right: &[bool], rows: &[Vec<String>]) -> Markup {
    let class = |column: usize| right.get(column).copied().unwrap_or(false).then_some("num");
    html! {
        table.shown {
            thead { tr { @for (column, cell) in header.iter().enumerate() { th class=[class(column)] { (cell) } } } }
            tbody {
                @for row in rows {
                    tr.key[row.first().is_some_and(|name| name == "mean")] {
                        @for (column, cell) in row.iter().enumerate() { td class=[class(column)] { (cell) } }
                    }
                }
            }
        }
    }
}

fn is_row(line: &str) -> bool {
    let line = line.trim();
    line.len() > 1 && line.starts_with('|') && line.ends_with('|')
}

/// Which columns are set flush right, if the line is that below a header: `| :--- | ---: |`.
fn rule(line: &str) -> Option<Vec<bool>> {
    let dashes = |cell: &String| cell.contains('-') && cell.chars().all(|c| matches!(c, '-' | ':'));
    let cells = cells(line);
    (is_row(line) && cells.iter().all(dashes)).then(|| cells.iter().map(|cell| cell.ends_with(':')).collect())
}

/// What stands between bars, one of which may itself be text: `\|`.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim();
    let inner = inner.strip_prefix('|').unwrap_or(inner);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    inner.replace("\\|", "\u{1}").split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_the_rest() {
        let text = "before\n| a | b |\n| :-- | --: |\n| x \\| y | 1 |\n| </td> | 2 |\n\nafter\n| no table |\n";
        let html = shown(text).into_string();
        assert!(html.contains("<pre>before</pre>"), "{html}");
        assert!(html.contains("<th>a</th><th class=\"num\">b</th>"), "{html}");
        assert!(html.contains("<td>x | y</td><td class=\"num\">1</td>"), "{html}");
        assert!(html.contains("<td>&lt;/td&gt;</td>"), "{html}");
        assert!(html.contains("<pre>after</pre>") && html.contains("<pre>| no table |</pre>"), "{html}");
    }
}
