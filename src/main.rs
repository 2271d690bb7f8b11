//! The process: reads the command line and ends with 0 (fine), 1 (what was asked about is not so) or 2
//! (cannot run).

use std::process::ExitCode;

fn main() -> ExitCode {
    narthex::cli::run()
}
