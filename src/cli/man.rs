//! Manual pages, completions and the schema: all made from what is declared elsewhere.

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use clap::CommandFactory;

use super::args::Cli;
use super::output::print;

/// `optbuild schema`
pub fn schema() -> Result<u8> {
    print_schema(&crate::pipeline::schema(&crate::stage::KINDS))
}

/// Prints a schema.
pub fn print_schema(schema: &schemars::Schema) -> Result<u8> {
    print(&format!("{:#}\n", schema.as_value()))?;
    Ok(0)
}

/// `optbuild completions SHELL`
pub fn completions(shell: clap_complete::Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "optbuild", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// `optbuild man`
pub fn man(dir: Option<&Utf8Path>) -> Result<u8> {
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {dir}"))?;
            clap_mangen::generate_to(Cli::command(), dir)
                .with_context(|| format!("cannot write the pages to {dir}"))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(0)
}
