//! The keys that `hongyan dev` makes once and keeps, so that tokens outlive a restart and a newcomer's `curl`
//! goes on working.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::files::{self, Denied, Need};

/// Where `dev` keeps what it makes.
pub const FOLDER: &str = "data";

/// Where the key of the server API is kept, in [`FOLDER`].
pub const ADMIN_FILE: &str = "dev-admin.key";

/// The mini-program that the WeChat double knows when nobody names another.
pub const APPID: &str = "wx-dev";
pub const SECRET: &str = "dev-secret";
/// What its pushes are signed and encrypted with.
pub const PUSH_TOKEN: &str = "devpushtoken";
pub const PUSH_AES_KEY: &str = "devpushaeskeydevpushaeskeydevpushaeskeydevp";

/// The template of its notices, and what stands in its fields. They come sooner than under `serve`, so that
/// somebody who plays sees one.
pub const TEMPLATE: &str = "dev-new-message-template-of-the-wechat-double";
pub const NOTICE_FIELDS: &str = "thing1={sender},number2={count},time3={time},thing4={summary}";
pub const NOTICE_DELAY_MS: &str = "5000";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("cannot keep the key of dev in {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl KeyError {
    fn new(path: &Path, need: Need, source: io::Error) -> Self {
        match Denied::explain(path, need, &source) {
            Some(denied) => Self::Denied(denied),
            None => Self::Io { path: path.to_owned(), source },
        }
    }
}

/// A key that is made once and kept.
#[derive(Debug, Clone, Copy)]
pub struct DevKey {
    file: &'static str,
    /// What stands before the secret, and behind it.
    id: &'static str,
    scopes: &'static str,
}

impl DevKey {
    /// As `auth.keys` takes it.
    pub const SIGNING: Self = Self { file: "dev.key", id: "dev:", scopes: "" };
    /// As `admin.keys` takes it.
    pub const ADMIN: Self = Self { file: ADMIN_FILE, id: "dev:", scopes: ":read+send+manage+moderate" };

    /// The key kept in the folder, made when there is none. Two processes that start at once get the same
    /// one.
    ///
    /// # Errors
    /// [`KeyError`] when the file can be neither read nor written.
    pub fn keep(self, folder: &Path) -> Result<String, KeyError> {
        let path = folder.join(self.file);
        match fs::read_to_string(&path) {
            Ok(text) => return Ok(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(KeyError::new(&path, Need::Read, error)),
        }
        self.make(folder, &path).map_err(|error| KeyError::new(folder, Need::Write, error))?;
        fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(|error| KeyError::new(&path, Need::Read, error))
    }

    /// Written beside its place and linked there whole, so that nobody reads half a key; a link that is
    /// already there wins.
    fn make(self, folder: &Path, path: &Path) -> io::Result<()> {
        files::make_folder(folder)?;
        let beside = folder.join(format!("{}.{:016x}", self.file, rand::random::<u64>()));
        let mut file = files::create_new(&beside)?;
        writeln!(file, "{}{}{}", self.id, URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()), self.scopes)?;
        let linked = match fs::hard_link(&beside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        };
        fs::remove_file(&beside)?;
        linked
    }

    /// The kept key, if there is one; makes nothing.
    pub fn kept(self, folder: &Path) -> Option<String> {
        fs::read_to_string(folder.join(self.file)).ok().map(|text| text.trim().to_owned())
    }
}
