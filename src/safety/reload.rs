//! The word list as it is now: read at the start, and anew when its files change. A file that is gone or bad
//! changes nothing.

#![expect(clippy::disallowed_types, reason = "when a file was changed is no time of day")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::words::{self, Unusable, WordList};
use crate::config::{self, SafetyMode};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A file of the list cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting} names a file that cannot be used: {}", path.display())]
pub struct BadList {
    setting: &'static str,
    path: PathBuf,
    source: Unusable,
}

/// The list, and the files that it comes from.
#[derive(Debug)]
pub struct Words {
    words: Option<PathBuf>,
    exceptions: Option<PathBuf>,
    current: RwLock<Arc<WordList>>,
    seen: Mutex<Seen>,
}

/// What the files looked like when they were last read.
type Seen = [Option<Stamp>; 2];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: SystemTime,
    bytes: u64,
    inode: u64,
}

impl Words {
    /// Reads the files. Blocking.
    ///
    /// # Errors
    /// [`BadList`].
    pub fn load(config: &config::Safety) -> Result<Self, BadList> {
        let is_used = config.mode != SafetyMode::Off;
        let [words, exceptions] =
            [&config.words, &config.exceptions].map(|file| file.clone().filter(|_| is_used));
        let seen = seen(words.as_deref(), exceptions.as_deref());
        let list = build(words.as_deref(), exceptions.as_deref())?;
        Ok(Self { words, exceptions, current: RwLock::new(Arc::new(list)), seen: Mutex::new(seen) })
    }

    pub fn current(&self) -> Arc<WordList> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files anew where they have changed, or where it is `forced`. Blocking. A failure is said
    /// once for each change.
    pub fn refresh(&self, forced: bool) {
        let now = seen(self.words.as_deref(), self.exceptions.as_deref());
        let before = std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), now);
        if before == now && !forced {
            return;
        }
        match build(self.words.as_deref(), self.exceptions.as_deref()) {
            Ok(list) => {
                log::info!(words = list.len(); "the word list was read anew");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
            }
            Err(bad) => {
                log::error!(reason:% = bad.source, setting = bad.setting; "the word list cannot be read; the one before holds")
            }
        }
    }

    /// Looks at the files every two seconds, and reads them in any case when it is told to.
    pub async fn follow(self: Arc<Self>, told: Arc<Notify>) {
        loop {
            let forced = tokio::time::timeout(LOOK, told.notified()).await.is_ok();
            let words = self.clone();
            // Another thread's work: a long list takes a while.
            let _ = actix_rt::task::spawn_blocking(move || words.refresh(forced)).await;
        }
    }
}

fn seen(words: Option<&Path>, exceptions: Option<&Path>) -> Seen {
    [words, exceptions].map(|path| {
        let about = std::fs::metadata(path?).ok()?;
        Some(Stamp { changed: about.modified().ok()?, bytes: about.len(), inode: about.ino() })
    })
}

fn build(words: Option<&Path>, exceptions: Option<&Path>) -> Result<WordList, BadList> {
    let text = |setting, path: Option<&Path>| match path {
        None => Ok(String::new()),
        Some(path) => words::read(path).map_err(|source| BadList { setting, path: path.to_owned(), source }),
    };
    let (listed, excused) = (text("safety.words", words)?, text("safety.exceptions", exceptions)?);
    WordList::new(&listed, &excused).map_err(|unusable| {
        let (setting, path) = match unusable.of {
            words::Part::Words => ("safety.words", words),
            words::Part::Exceptions => ("safety.exceptions", exceptions),
        };
        BadList { setting, path: path.unwrap_or(Path::new("")).to_owned(), source: unusable.why }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn words(folder: &Path) -> Words {
        let files = (Some(folder.join("words")), Some(folder.join("exceptions")));
        let config = config::Safety {
            mode: SafetyMode::Local,
            words: files.0,
            exceptions: files.1,
            ..Config::default().safety
        };
        Words::load(&config).unwrap()
    }

    #[test]
    fn a_list_that_changes_is_read_anew_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &[u8]| std::fs::write(folder.path().join(file), text).unwrap();
        write("words", b"one\n");
        write("exceptions", b"");
        let words = words(folder.path());
        let held = words.current();
        write("words", b"one\ntwo\n");
        words.refresh(false);
        assert!(
            words.current().refuses("two") && !held.refuses("two"),
            "who holds the old one goes on with it"
        );
        for bad in [b"...\n".as_slice(), b"\xff\xff\xff"] {
            write("words", bad);
            words.refresh(false);
            assert!(words.current().refuses("two"));
        }
        std::fs::remove_file(folder.path().join("words")).unwrap();
        words.refresh(false);
        assert!(words.current().refuses("two"));
        write("words", b"three\n");
        words.refresh(false);
        assert!(words.current().refuses("three") && !words.current().refuses("two"));
        write("exceptions", b"threefold");
        words.refresh(false);
        assert!(!words.current().refuses("threefold"));
    }

    #[test]
    fn what_has_not_changed_is_read_only_when_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("words"), "one\n").unwrap();
        std::fs::write(folder.path().join("exceptions"), "").unwrap();
        let words = words(folder.path());
        let before = words.current();
        words.refresh(false);
        assert!(Arc::ptr_eq(&before, &words.current()));
        words.refresh(true);
        assert!(!Arc::ptr_eq(&before, &words.current()));
    }

    #[test]
    fn what_is_wrong_names_the_setting_and_the_line_but_no_word() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("words"), "secret\n").unwrap();
        std::fs::write(folder.path().join("exceptions"), "secret\n--\n").unwrap();
        let bad =
            build(Some(&folder.path().join("words")), Some(&folder.path().join("exceptions"))).unwrap_err();
        let text = format!("{bad}: {}", bad.source);
        assert!(
            text.contains("safety.exceptions") && text.contains("line 2") && !text.contains("secret"),
            "{text}"
        );
    }
}
