//! Disks of a test's own: one whose power can be cut, and one that is soon full.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::size::skipped;

/// Runs a program quietly; whether it succeeded.
fn runs(program: &str, arguments: &[&str]) -> bool {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let status = Command::new(program).args(arguments).env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A mounted file system; gone with the test.
pub struct Disk {
    folder: TempDir,
    is_mounted: bool,
}

impl Disk {
    /// An ext4 file system in a file; `None`, and a word on why, where this machine does not mount one.
    pub fn ext4() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().set_len(256 << 20).unwrap();
        std::fs::create_dir(folder.path().join("disk")).unwrap();
        if !runs("mkfs.ext4", &["-q", "-F", text(&image)]) {
            skipped("mkfs.ext4 is not here (Debian: e2fsprogs)");
            return None;
        }
        let mut disk = Self { folder, is_mounted: false };
        disk.mount().then_some(disk)
    }

    /// A file system in memory that holds so much.
    pub fn tmpfs(mebibytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let point = folder.path().join("disk");
        std::fs::create_dir(&point).unwrap();
        let is_mounted = runs("mount", &["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "hongyan-test", text(&point)]);
        if !is_mounted {
            skipped("this machine mounts no file system (that takes root, and a container may not)");
        }
        is_mounted.then_some(Self { folder, is_mounted })
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn mount(&mut self) -> bool {
        let image = self.folder.path().join("image");
        self.is_mounted = runs("mount", &["-o", "loop", text(&image), text(&self.path())]);
        if !self.is_mounted {
            skipped("this machine mounts no loop device (that takes root, and a container may not)");
        }
        self.is_mounted
    }

    /// From now on nothing reaches the disk, not even its journal: what was not flushed is gone, as when the power fails.
    pub fn cut_power(&self) {
        // ext4's EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), with EXT4_GOING_FLAGS_NOLOGFLUSH.
        const SHUTDOWN: libc::Ioctl = 0x8004_587d;
        let no_log_flush: u32 = 2;
        let disk = File::open(self.path()).unwrap();
        // SAFETY: the call reads one u32, which lives through it.
        let done = unsafe { libc::ioctl(disk.as_raw_fd(), SHUTDOWN, &raw const no_log_flush) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Power is back: the journal is replayed. Nobody may have a file open.
    pub fn restore_power(&mut self) {
        assert!(runs("umount", &[text(&self.path())]), "the disk is in use");
        self.is_mounted = false;
        assert!(self.mount());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            runs("umount", &["-l", text(&self.path())]);
        }
    }
}
