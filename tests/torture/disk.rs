//! Disks of a test's own: one whose power can be cut, one that is soon full, and one that fails, or takes its
//! time.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::harness::Server;
use crate::size::skipped;

/// Runs a program quietly; whether it succeeded.
fn runs(program: &str, arguments: &[&str]) -> bool {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let status = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
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
        let is_mounted = runs(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "hongyan-test", text(&point)],
        );
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

    /// From now on nothing reaches the disk, not even its journal: what was not flushed is gone, as when the
    /// power fails.
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

/// What stands between a server and the disk under its SQLite file: a library loaded before the C library.
pub struct Files {
    folder: TempDir,
}

impl Files {
    /// `None`, and a word on why, without a C compiler.
    pub fn new() -> Option<Self> {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture/disk.c");
        let library = files.at("disk.so");
        let built = runs("cc", &["-shared", "-fPIC", "-O1", "-o", text(&library), source, "-ldl"]);
        if !built {
            skipped("no C compiler to build the fault with");
        }
        built.then_some(files)
    }

    /// Starts the server again, over these.
    pub async fn carry(&self, server: &mut Server) {
        for (name, file) in [("LD_PRELOAD", "disk.so"), ("HONGYAN_EIO", "fails"), ("HONGYAN_SLOW", "slow")] {
            server.set_variable(name, self.at(file).to_str());
        }
        server.again().await;
    }

    /// Every write and every flush fails from now on, or no more.
    pub fn fail(&self, is_so: bool) {
        if is_so {
            drop(File::create(self.at("fails")).unwrap())
        } else {
            std::fs::remove_file(self.at("fails")).unwrap()
        }
    }

    /// Every flush that begins from now on takes so much longer.
    pub fn slow_by(&self, ms: u64) {
        // In one step: the server may be reading it.
        std::fs::write(self.at("next"), ms.to_string()).unwrap();
        std::fs::rename(self.at("next"), self.at("slow")).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
