//! The command line: what can be asked of the binary, and how its failures are told.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, LogFormat, Problems};
use crate::ids::OpenId;
use crate::node::Node;
use crate::{app, files, logging, store};

mod audit;
mod ban;
mod bans;
mod doctor;
mod healthcheck;
mod operator;
mod settings;
mod status;
mod table;
mod times;
mod trace;
mod user;
mod user_sessions;

pub use settings::Settings;

/// The exit code of a wrong command line or wrong settings; every other failure is 1.
pub const EXIT_SETTINGS: u8 = 2;

#[derive(Parser, Debug)]
#[command(name = "hongyan", version = crate::version::text(), about = "鸿雁: instant messaging for WeChat mini-programs on your own server")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server
    Serve {
        #[command(flatten)]
        settings: Settings,
    },
    /// Run the server for trying it out: on this machine only, SQLite under ./data, a WeChat double beside it
    Dev {
        #[command(flatten)]
        settings: Settings,
    },
    /// Bring the database's tables up to date (serve does so at its start)
    Migrate(OnSettings),
    /// Look at the settings
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Ask the server of these settings whether it is ready: print what it says, exit 0 when it is and 1 when
    /// not
    Healthcheck(OnSettings),
    /// Print a bearer token for a user
    Token(OnUser),
    /// End all of a user's tokens and sessions and refuse login, for good or until a time
    Ban(ban::BanArguments),
    /// Let a banned user log in again
    Unban(OnUser),
    /// List who is banned, since and until when, by whom and why
    Bans(bans::BansArguments),
    /// Close a user's sessions; the user may come back
    Kick(OnUser),
    /// Show how a user stands: live sessions on all nodes, seen when, banned, conversations, profile
    User(user::UserArguments),
    /// Show what operators did: on the command line and by the server API
    Audit(audit::AuditArguments),
    /// Look for what is wrong with the server's surroundings, and say what to do; exit 0 when nothing failed
    Doctor(doctor::Doctor),
    /// Show how this node and the others stand; exit 0 when all are well
    Status(status::Status),
    /// Have every node write a line for each hop of a user's messages, for some minutes
    Trace(trace::Trace),
    /// Copy the SQLite database to a new file, also while the server runs, and record that
    Backup {
        /// The file to write
        #[arg(required_unless_present = "record")]
        file: Option<PathBuf>,
        /// Copy nothing: record that a backup was made just now by other means, such as pg_dump
        #[arg(long, conflicts_with = "file")]
        record: bool,
        #[command(flatten)]
        on: OnSettings,
    },
    /// Run the WeChat double alone
    FakeWechat {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9980")]
        listen: SocketAddr,
        /// A name under which it may be asked, besides IP addresses and localhost; may be given again
        #[arg(long, value_name = "NAME")]
        allowed_host: Vec<String>,
    },
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Check the settings: exit 0 when serve could start with them
    Check(OnSettings),
    /// Print every setting, its value (secrets masked) and where it came from
    Show(OnSettings),
    /// Print the table of settings in Markdown
    #[command(hide = true)]
    Docs,
}

#[derive(clap::Args, Debug)]
struct OnSettings {
    /// With the settings of `hongyan dev`
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(clap::Args, Debug)]
struct OnUser {
    /// The user's openid
    #[arg(value_parser = openid)]
    openid: OpenId,
    #[command(flatten)]
    on: OnSettings,
}

fn openid(text: &str) -> Result<OpenId, crate::ids::Malformed> {
    OpenId::parse(text)
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Settings(#[from] Problems),
    #[error("{0}\nfor a server that was started by `hongyan dev`, add --dev")]
    TokenSettings(Problems),
    #[error(transparent)]
    DevKey(#[from] config::dev::KeyError),
    #[error("cannot set up logging")]
    Logging(#[from] logging::InitError),
    #[error(transparent)]
    App(#[from] app::Error),
    #[error(transparent)]
    Store(#[from] store::OpenError),
    #[error("nobody has seen {0} here: is the openid right? To ban somebody who was never here, add --force")]
    UnknownToBan(OpenId),
    #[error("nobody has seen {0} here: is the openid right?")]
    UnknownUser(OpenId),
    #[error(
        "backup copies SQLite only; for PostgreSQL use pg_dump with the password in a file (PGPASSFILE), as docs/OPERATIONS.md shows"
    )]
    BackupOfPostgres,
    #[error("{0} is there already")]
    BackupExists(String),
    #[error("not ready")]
    Healthcheck(#[from] healthcheck::NotReady),
    /// The answer says what.
    #[error("not everything is well")]
    NotWell,
    #[error("cannot write the answer")]
    Output(#[from] std::io::Error),
}

#[derive(Debug, thiserror::Error)]
#[error("warning: the copy is good, but its time could not be recorded")]
struct NotRecorded(#[source] store::OpenError);

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::TokenSettings(_) | Self::BackupOfPostgres => EXIT_SETTINGS,
            _ => 1,
        }
    }
}

/// The command line as clap knows it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what the process's arguments ask; a failure is printed once, with its causes.
pub fn main() -> ExitCode {
    // The database holds what people wrote, and tools make its files as the server does.
    files::for_owner_only();
    let arguments = Arguments::parse();
    let format = arguments.command.log_format();
    let done = run(arguments, environment());
    log::logger().flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            logging::fail(format, &lines(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// An error and its causes; a cause that only repeats what stands before it is left out.
fn lines(error: &dyn std::error::Error) -> Vec<String> {
    let mut told: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if let Some(last) = told.last_mut()
            && !last.contains(&text)
        {
            last.push_str(": ");
            last.push_str(&text);
        }
        cause = error.source();
    }
    told
}

impl Command {
    /// The format in which a failure is told: the log's for what has a log that machines read, else text.
    fn log_format(&self) -> LogFormat {
        let (settings, want) = match self {
            Self::Serve { settings } => (settings, settings::Want::Serve),
            Self::Dev { settings } => (settings, settings::Want::Dev),
            _ => return LogFormat::Text,
        };
        settings
            .inputs(want, environment())
            .map_or(LogFormat::Text, |inputs| config::load::log_format(&inputs))
    }
}

fn run(arguments: Arguments, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    match arguments.command {
        Command::Serve { settings } => {
            let loaded = settings.load(settings::Want::Serve, environment)?;
            start(loaded, app::Mode::Serve)
        }
        Command::Dev { settings } => {
            let loaded = settings.load(settings::Want::Dev, environment)?;
            start(loaded, app::Mode::Dev)
        }
        Command::Migrate(on) => {
            let loaded = on.load(environment)?;
            logging::init(&loaded.config.log)?;
            Ok(store::migrate(&loaded.config.database)?)
        }
        Command::Config { what } => config_command(&what, environment),
        Command::Healthcheck(on) => say(&format!("{}\n", healthcheck::check(&on.load(environment)?.config)?)),
        Command::Token(user) => {
            let loaded = user.on.load(environment)?;
            let lacks: Vec<_> = loaded
                .missing()
                .into_iter()
                .filter(|problem| ["wechat.appid", "auth.keys"].contains(&problem.about.as_str()))
                .collect();
            if !lacks.is_empty() {
                return Err(Failure::TokenSettings(Problems(lacks)));
            }
            let token = app::token(&loaded.config, &user.openid)?;
            operator::note(&loaded.config.database, "token", user.openid.as_str());
            say(&format!("{token}\n"))
        }
        Command::Ban(arguments) => ban::ban(arguments, environment),
        Command::Unban(user) => ban::unban(user, environment),
        Command::Bans(arguments) => bans::bans(&arguments, environment),
        Command::Kick(user) => ban::kick(user, environment),
        Command::User(arguments) => user::user(arguments, environment),
        Command::Audit(arguments) => audit::audit(&arguments, environment),
        Command::Doctor(asked) => doctor::run(&asked, environment),
        Command::Status(asked) => status::run(&asked, environment),
        Command::Trace(asked) => trace::run(&asked, environment),
        Command::Backup { file, on, .. } => {
            let database = on.load(environment)?.config.database;
            let Some(file) = file else { return Ok(store::record_backup(&database)?) };
            if matches!(database.url, config::DatabaseUrl::Postgres(_)) {
                return Err(Failure::BackupOfPostgres);
            }
            if file.exists() {
                return Err(Failure::BackupExists(file.display().to_string()));
            }
            store::backup(&database, &file)?;
            operator::note(&database, "backup", &file.display().to_string());
            if let Err(error) = store::record_backup(&database) {
                // The copy is good, and that is what was asked for.
                logging::fail(LogFormat::Text, &lines(&NotRecorded(error)));
            }
            say(&format!("{}\n", file.display()))
        }
        Command::FakeWechat { listen, allowed_host } => {
            let allowed = config::AllowedHosts::new(&allowed_host).map_err(|odd| {
                Problems(vec![config::Problem::new(
                    "--allowed-host",
                    None,
                    format!("{odd:?} is no host name: a name without a port"),
                )])
            })?;
            logging::init(&config::Config::default().log)?;
            Ok(app::fake_wechat(listen, allowed)?)
        }
    }
}

fn start(loaded: config::Loaded, mode: app::Mode) -> Result<(), Failure> {
    let node = Node::starting(&loaded.config.server.node);
    logging::name_node(node.name());
    logging::init(&loaded.config.log)?;
    for warning in &loaded.warnings {
        log::warn!("{warning}");
    }
    Ok(app::run(loaded.config, mode, node)?)
}

fn config_command(what: &ConfigCommand, environment: Vec<(OsString, OsString)>) -> Result<(), Failure> {
    match what {
        ConfigCommand::Check(on) => {
            let want = if on.dev { settings::Want::DevUnmade } else { settings::Want::Serve };
            let loaded = on.settings.load(want, environment)?;
            let warnings: String =
                loaded.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            say(&warnings)?;
            let taken = app::check(&loaded.config).map_err(app::Error::from)?;
            let taken: String = taken
                .iter()
                .map(|at| format!("{at} is taken, as it is while a server runs with these settings\n"))
                .collect();
            let as_root = match &loaded.config.database.url {
                config::DatabaseUrl::Sqlite(path) => files::owner_beside_root(path),
                config::DatabaseUrl::Postgres(_) => None,
            };
            let as_root =
                as_root.map(|owner| format!("looked at as root, who may do more than the server: sudo -u {owner} hongyan config check\n"));
            let from = loaded.file.map(|file| format!(" ({})", file.display())).unwrap_or_default();
            say(&format!("{taken}{}the settings are good{from}\n", as_root.unwrap_or_default()))
        }
        ConfigCommand::Show(on) => {
            let want = if on.dev { settings::Want::DevUnmade } else { settings::Want::Tool };
            say(&config::show::settings(&on.settings.load(want, environment)?))
        }
        ConfigCommand::Docs => say(&config::show::docs()),
    }
}

impl OnSettings {
    fn load(&self, environment: Vec<(OsString, OsString)>) -> Result<config::Loaded, Failure> {
        self.settings.load(if self.dev { settings::Want::Dev } else { settings::Want::Tool }, environment)
    }
}

/// Each value as one line of JSON.
fn json_lines<T: serde::Serialize>(values: &[T]) -> String {
    values.iter().filter_map(|value| serde_json::to_string(value).ok()).map(|line| line + "\n").collect()
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests;
