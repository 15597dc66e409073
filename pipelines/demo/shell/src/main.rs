//! `sqlsh`: runs SQL scripts on a database in memory and prints what the queries return.
//!
//! ```text
//! sqlsh [--mode list|csv|json|table|digest] [FILE…]      without a file, or with `-`: standard input
//! ```
//!
//! All scripts run in turn on the same database. A line that begins with `.mode` changes the form of the output from there on,
//! `.print TEXT` prints a line. The first error ends the program with status 1 and a message that names file and line.

mod functions;
mod output;

use std::io::{self, BufWriter, Read, Write};
use std::process::ExitCode;

use fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection, Statement};

use output::{Mode, Printer};

const USAGE: &str = "usage: sqlsh [--mode list|csv|json|table|digest] [FILE…]";

fn main() -> ExitCode {
    let (mode, files) = match arguments(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("sqlsh {} on SQLite {}\n{USAGE}", env!("CARGO_PKG_VERSION"), rusqlite::version());
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("sqlsh: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(mode, &files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("sqlsh: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The output mode and the files; nothing if help was asked for.
fn arguments(mut words: impl Iterator<Item = String>) -> Result<Option<(Mode, Vec<String>)>, String> {
    let mut mode = Mode::List;
    let mut files = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "--version" => return Ok(None),
            "--mode" => mode = words.next().ok_or("`--mode` needs a value")?.parse()?,
            "-" => files.push(word),
            option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
            _ => files.push(word),
        }
    }
    if files.is_empty() {
        files.push("-".into());
    }
    Ok(Some((mode, files)))
}

fn run(mode: Mode, files: &[String]) -> Result<(), String> {
    let connection = Connection::open_in_memory().map_err(|error| error.to_string())?;
    functions::add_to(&connection).map_err(|error| error.to_string())?;
    let mut printer = Printer::new(BufWriter::new(io::stdout().lock()), mode);
    for file in files {
        let script = read(file).map_err(|error| format!("{file}: {error}"))?;
        run_script(&connection, &mut printer, &script)
            .map_err(|Problem { line, message }| format!("{file}:{line}: {message}"))?;
    }
    printer.into_inner().flush().map_err(|error| format!("standard output: {error}"))
}

fn read(file: &str) -> io::Result<String> {
    if file == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

/// What went wrong, and in which line of the script (from 1).
struct Problem {
    line: usize,
    message: String,
}

/// Runs the SQL between lines that begin with `.`, and those lines.
fn run_script<W: Write>(connection: &Connection, printer: &mut Printer<W>, script: &str) -> Result<(), Problem> {
    let mut sql_start = 0;
    let mut at = 0;
    for line in script.split_inclusive('\n') {
        if line.starts_with('.') {
            run_sql(connection, printer, script, sql_start..at)?;
            command(printer, line.trim_end()).map_err(|message| Problem { line: line_number(script, at), message })?;
            sql_start = at + line.len();
        }
        at += line.len();
    }
    run_sql(connection, printer, script, sql_start..at)
}

/// Runs a line such as `.mode csv`.
fn command<W: Write>(printer: &mut Printer<W>, line: &str) -> Result<(), String> {
    match line.split_once(' ').unwrap_or((line, "")) {
        (".mode", mode) => printer.set_mode(mode.trim().parse()?),
        (".print", text) => printer.line(text).map_err(|error| format!("standard output: {error}"))?,
        (other, _) => return Err(format!("unknown command `{other}`: there are `.mode` and `.print`")),
    }
    Ok(())
}

/// Runs every statement in that part of the script.
fn run_sql<W: Write>(
    connection: &Connection,
    printer: &mut Printer<W>,
    script: &str,
    part: std::ops::Range<usize>,
) -> Result<(), Problem> {
    let end = part.end;
    let mut batch = Batch::new(connection, &script[part.clone()]);
    // Where the statement at hand begins, for errors that SQLite gives no position for.
    let mut begin = part.start;
    loop {
        let next = batch.next().map_err(|error| match error {
            // `sql` is the rest of the part, `offset` a position in it.
            rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
                let position = end - sql.len() + usize::try_from(offset).unwrap_or(0);
                Problem { line: line_number(script, position), message: msg }
            }
            other => Problem { line: line_number(script, begin), message: other.to_string() },
        })?;
        let Some(statement) = next else { return Ok(()) };
        let text = statement.expanded_sql().unwrap_or_default();
        // A statement's text is found again from where the one before it ended; it has no parameters, so it stands there as it is.
        begin = script[begin..end].find(text.trim()).map_or(begin, |found| begin + found);
        run_statement(statement, printer).map_err(|message| Problem { line: line_number(script, begin), message })?;
        begin = (begin + text.trim().len()).min(end);
    }
}

fn run_statement<W: Write>(mut statement: Statement<'_>, printer: &mut Printer<W>) -> Result<(), String> {
    if statement.column_count() == 0 {
        return statement.execute([]).map(|_| ()).map_err(|error| error.to_string());
    }
    let names: Vec<String> = statement.column_names().map(Into::into).collect();
    let mut rows = statement.query([]).map_err(|error| error.to_string())?;
    printer.begin(&names).map_err(|error| format!("standard output: {error}"))?;
    while let Some(row) = rows.next().map_err(|error| error.to_string())? {
        printer.row(&names, row)?;
    }
    printer.end(&names).map_err(|error| format!("standard output: {error}"))
}

/// The number of the line (from 1) that a byte of the text stands in.
fn line_number(text: &str, position: usize) -> usize {
    text.as_bytes()[..position.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}
