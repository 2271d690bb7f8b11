//! The command line.

pub mod connector;
mod connector_life;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Identity proxy: single sign-on and just-in-time accounts in front of an application that knows neither.
#[derive(Parser)]
#[command(name = "narthex", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the proxy.
    Serve {
        /// The configuration file.
        #[arg(long, default_value = "proxy.toml", env = "NARTHEX_CONFIG")]
        config: PathBuf,
    },
}

/// Fine.
pub const FINE: u8 = 0;
/// What was asked about is not so.
pub const NOT_SO: u8 = 1;
/// It cannot run.
pub const CANNOT: u8 = 2;

/// Runs what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let code = match Arguments::parse().command {
        Command::Serve { config } => serve::run(&config),
    };
    ExitCode::from(code)
}
