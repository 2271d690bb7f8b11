//! The command line: 0 is fine, 1 means that what was asked about is not so, 2 that it cannot run.

mod admin;
mod audit;
mod backup;
mod case;
mod check;
mod connector;
mod connector_life;
#[cfg(feature = "demo")]
mod demo;
mod explain;
mod invite;
mod mapping;
mod member;
mod schema;
mod serve;
mod session;
mod settings;
mod shadow;
mod verify;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Identity proxy: single sign-on and just-in-time accounts in front of an application that knows neither.
#[derive(Parser)]
#[command(name = "narthex", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the proxy
    Serve(ConfigFile),
    /// Say everything that is wrong with a configuration
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
        /// Also refuse what `serve` would miss on this machine: absent secrets, files, and the store's folder
        #[arg(long)]
        strict: bool,
        /// Also say where the settings in the store differ from `[provisioning]`
        #[arg(long)]
        store: bool,
    },
    /// Say what a sign-in with these claims would do, or what one did: each decision with its rule
    Explain {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        explain: explain::ExplainArgs,
    },
    /// The audit log: is it what was written, and the log for other tools
    Audit {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        audit: audit::AuditArgs,
    },
    /// Write the store as it is now to a file, while narthex serves (SQLite)
    Backup {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        backup: backup::BackupArgs,
    },
    /// Print the JSON Schema of proxy.toml
    Schema,
    /// What speaks to applications: list them, show one, try one on the real application
    Connector {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        connector: connector::ConnectorArgs,
    },
    /// Who is signed in; ending it
    Session {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        session: session::SessionCommand,
    },
    /// Who is a member; their roles and teams, revoking, blocking, erasing, reconciling
    Member {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        member: member::MemberCommand,
    },
    /// Invite people; see, change and take back invites
    Invite {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        invite: invite::InviteCommand,
    },
    /// Sign-ins that wait for your decision
    Case {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        case: case::CaseCommand,
    },
    /// The provisioning settings that hold, which may have been changed at run time
    Settings {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        settings: settings::SettingsCommand,
    },
    /// The way into the admin API
    Admin {
        #[command(flatten)]
        file: ConfigFile,
        #[command(subcommand)]
        admin: admin::AdminCommand,
    },
    /// The group mapping in its JSON form: read one, or write the configuration's
    Mapping {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        mapping: mapping::MappingArgs,
    },
    /// Say what provisioning would have done to whom, while provisioning.shadow was on
    Shadow {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        shadow: shadow::ShadowArgs,
    },
    /// Look for ways past narthex, from where this runs: open ports, headers that get through, secrets that others can read
    VerifyDeployment {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        verify: verify::VerifyArgs,
    },
    /// Try it: an identity provider, an application and the proxy, all on this machine
    #[cfg(feature = "demo")]
    Demo {
        /// Where the proxy listens; 8080, or a free port where that is taken
        #[arg(long)]
        port: Option<u16>,
    },
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long, default_value = "proxy.toml", env = "NARTHEX_CONFIG", global = true)]
    config: PathBuf,
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
        Command::Serve(file) => serve::run(&file.config),
        Command::Check { file, json, strict, store } => match check::run(&file.config, strict, json) {
            FINE if store => settings::drift(&file.config, json),
            code => code,
        },
        Command::Explain { file, explain } => explain::run(&file.config, explain),
        Command::Audit { file, audit } => audit::run(&file.config, audit),
        Command::Backup { file, backup } => backup::run(&file.config, backup),
        Command::Schema => schema::run(),
        Command::Connector { file, connector } => connector::run_with(&file.config, &connector),
        Command::Session { file, session } => session::run(&file.config, session),
        Command::Member { file, member } => member::run(&file.config, member),
        Command::Invite { file, invite } => invite::run(&file.config, invite),
        Command::Case { file, case } => case::run(&file.config, case),
        Command::Settings { file, settings } => settings::run(&file.config, settings),
        Command::Admin { file, admin } => admin::run(&file.config, &admin),
        Command::Mapping { file, mapping } => mapping::run(&file.config, &mapping),
        Command::Shadow { file, shadow } => shadow::run(&file.config, &shadow),
        Command::VerifyDeployment { file, verify } => verify::run(&file.config, verify),
        #[cfg(feature = "demo")]
        Command::Demo { port } => demo::run(port),
    };
    ExitCode::from(code)
}

/// Runs `work` on a runtime of its own.
fn block_on(work: impl Future<Output = u8>) -> u8 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("narthex-cold")
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            complain(&format!("the runtime cannot be started: {error}"));
            CANNOT
        }
    }
}

/// SIGTERM or SIGINT, by name.
async fn asked_to_end() -> Result<&'static str, std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Says it on standard error, where the log is not set up.
#[expect(clippy::print_stderr, reason = "before the log is set up, standard error is the only place")]
fn complain(text: &str) {
    eprintln!("narthex: {text}");
}

/// SECURITY: some of it is from outside (an entity ID, say), and terminals act on control characters, also on those
/// that XML allows.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
