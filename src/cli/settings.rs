//! Flags that are settings, and the settings behind a command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::config::dev::DevKey;
use crate::config::load::{Flag, SYSTEM_FILE, USUAL_FILE};
use crate::config::{self, Inputs, Loaded, Problem, Problems, Profile, dev};

/// Every setting can be given with `--set`; the usual ones have a flag of their own.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct Settings {
    /// The settings file (else HONGYAN_CONFIG, else ./hongyan.toml, else /etc/hongyan/hongyan.toml, where one
    /// is there)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// server.listen: where clients connect
    #[arg(long, value_name = "ADDRESS:PORT|unix:/PATH")]
    listen: Option<String>,
    /// ops.listen: where operators connect; empty for none
    #[arg(long, value_name = "ADDRESS:PORT")]
    ops_listen: Option<String>,
    /// database.url (a password is better given in the environment or a file: others can read a command line)
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// server.trusted_proxies: a network whose X-Forwarded-For is believed; may be given again
    #[arg(long, value_name = "NETWORK")]
    trusted_proxy: Vec<String>,
    /// log.format: text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any setting; may be given again
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

/// What the settings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Serve,
    /// The keys are made when there are none.
    Dev,
    /// As [`Want::Dev`], but nothing is made on disk.
    DevUnmade,
    Tool,
}

impl Settings {
    pub(super) fn load(&self, want: Want, environment: Vec<(OsString, OsString)>) -> Result<Loaded, Failure> {
        let inputs = self.inputs(want, environment)?;
        let profile = match want {
            Want::Serve => Profile::Serve,
            Want::Tool => Profile::Tool,
            Want::DevUnmade => Profile::Dev {
                auth_keys: DevKey::SIGNING.kept(Path::new(dev::FOLDER)),
                admin_keys: DevKey::ADMIN.kept(Path::new(dev::FOLDER)),
            },
            Want::Dev => {
                // Wrong settings are told before anything is made, and a key of one's own makes the kept one
                // needless.
                let given =
                    config::load(&Profile::Dev { auth_keys: None, admin_keys: None }, &inputs)?.config;
                let keep = |is_needed: bool, key: DevKey| {
                    is_needed.then(|| key.keep(Path::new(dev::FOLDER))).transpose()
                };
                Profile::Dev {
                    auth_keys: keep(given.auth.keys.is_empty(), DevKey::SIGNING)?,
                    admin_keys: keep(given.admin.keys.is_empty(), DevKey::ADMIN)?,
                }
            }
        };
        Ok(config::load(&profile, &inputs)?)
    }

    pub(super) fn inputs(
        &self,
        want: Want,
        environment: Vec<(OsString, OsString)>,
    ) -> Result<Inputs, Problems> {
        let mut usual_files = vec![PathBuf::from(USUAL_FILE)];
        // With the keys of a machine's server dev would let anybody in, and it would write to that server's
        // database.
        if matches!(want, Want::Serve | Want::Tool) {
            usual_files.push(PathBuf::from(SYSTEM_FILE));
        }
        Ok(Inputs { file: self.config.clone(), usual_files, environment, flags: self.flags()? })
    }

    fn flags(&self) -> Result<Vec<Flag>, Problems> {
        let text = |flag, key: &str, value: &Option<String>| {
            value.clone().map(|value| Flag { flag, key: key.to_owned(), value: config::Value::Text(value) })
        };
        let mut flags: Vec<Flag> = [
            text("--listen", "server.listen", &self.listen),
            text("--ops-listen", "ops.listen", &self.ops_listen),
            text("--database-url", "database.url", &self.database_url),
            text("--log-format", "log.format", &self.log_format),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !self.trusted_proxy.is_empty() {
            let value = config::Value::List(self.trusted_proxy.clone());
            flags.push(Flag { flag: "--trusted-proxy", key: "server.trusted_proxies".to_owned(), value });
        }
        for given in &self.set {
            let (key, value) = given.split_once('=').ok_or_else(|| {
                Problems(vec![Problem::new(
                    "--set",
                    None,
                    "must be SECTION.KEY=VALUE, such as --set limits.bad_frames=20",
                )])
            })?;
            flags.push(Flag {
                flag: "--set",
                key: key.trim().to_owned(),
                value: config::Value::Text(value.to_owned()),
            });
        }
        Ok(flags)
    }
}
