//! Parses the command line, dispatches, and maps an error to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    optbuild::cli::main()
}
