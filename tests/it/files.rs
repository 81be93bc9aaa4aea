//! Files that the server and its tools make and need: for their owner only, and where they cannot be used, an
//! error that says what to do.
//!
//! Root may do anything, so where the tests run as root the server runs as another user.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::harness::{Client, Http, Said, eventually};

const NOBODY: u32 = 65_534;
const KEYS: &str = "k1:kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A folder of a server's user, who is not root.
struct Place {
    folder: tempfile::TempDir,
    /// `None`: the user of the tests.
    user: Option<u32>,
}

struct Running {
    child: Child,
    at: String,
    ops: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = is_root().then_some(NOBODY);
        chown(folder.path(), user, user).unwrap();
        Self { folder, user }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary as the user of the tests, who may be root.
    fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hongyan"));
        command.args(arguments).env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("HONGYAN_DATABASE__URL", "sqlite://var/h.db").env("HONGYAN_DATABASE__CACHE_KIB", "1024");
        command.env("HONGYAN_SERVER__LISTEN", "127.0.0.1:0").env("HONGYAN_OPS__LISTEN", "127.0.0.1:0");
        command
            .env("HONGYAN_WECHAT__APPID", "wx0")
            .env("HONGYAN_WECHAT__SECRET", "s")
            .env("HONGYAN_AUTH__KEYS", KEYS);
        command.env("HONGYAN_WECHAT__API_BASE", "http://127.0.0.1:1");
        command
    }

    /// The binary as the server's user.
    fn server(&self, arguments: &[&str]) -> Command {
        let mut command = self.tool(arguments);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Running {
        let mut child = self.server(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut running = Running { child, at: String::new(), ops: String::new() };
        let said =
            |name: &str, line: &str| line.strip_prefix(&format!("hongyan: {name} at ")).map(str::to_owned);
        for line in &mut lines {
            running.at = said("chat", &line).unwrap_or(running.at.clone());
            running.ops = said("operators", &line).unwrap_or(running.ops.clone());
            if line == "hongyan: ready" {
                return running;
            }
        }
        panic!("the server did not start");
    }

    /// Takes the right to write away, as a tool that root ran with another umask would have.
    fn spoil(&self, name: &str) {
        let path = self.path(name);
        if is_root() {
            chown(&path, Some(0), Some(0)).unwrap();
        }
        let mode = if path.is_dir() { 0o555 } else { 0o444 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn mend(&self, name: &str) {
        let path = self.path(name);
        chown(&path, self.user, self.user).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(if path.is_dir() { 0o700 } else { 0o600 }))
            .unwrap();
    }
}

fn ok(output: &Output) -> String {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// The one line with which it failed.
fn failure(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String =
        said.lines().filter(|line| line.starts_with("hongyan: ")).collect::<Vec<_>>().join("\n");
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    said
}

#[test]
fn a_database_that_cannot_be_written_ends_the_start() {
    let place = Place::new();
    ok(&place.server(&["migrate"]).output().unwrap());
    for name in ["var/h.db", "var/h.db-wal", "var/h.db-shm", "var"] {
        if !place.path(name).exists() {
            fs::write(place.path(name), "").unwrap();
        }
        place.spoil(name);
        let began = [&["serve"][..], &["config", "check"], &["ban", "alice"], &["migrate"]].map(|command| {
            let said = failure(&place.server(command).output().unwrap());
            assert!(said.contains(&format!("{name} cannot be written: ")), "{name}: {command:?}: {said}");
            said
        });
        let remedy = match (is_root(), name) {
            (true, "var") => "or give it to nobody: chown nobody: ",
            (true, _) => "give it back: chown nobody: ",
            (false, _) => "chmod u+rw",
        };
        assert!(began.iter().all(|said| said.contains(remedy) || name == "var"), "{began:?}");
        assert!(began[0].contains(if is_root() { "belongs to root" } else { "mode 0" }), "{}", began[0]);
        place.mend(name);
        if name.ends_with('m') || name.ends_with("wal") {
            fs::remove_file(place.path(name)).unwrap();
        }
    }
    // The word list.
    fs::write(place.path("words"), "word\n").unwrap();
    chown(place.path("words"), place.user.map(|_| 0), None).unwrap();
    fs::set_permissions(place.path("words"), Permissions::from_mode(0o000)).unwrap();
    for command in [&["serve"][..], &["config", "check"]] {
        let mut server = place.server(command);
        let out = server
            .env("HONGYAN_SAFETY__MODE", "local")
            .env("HONGYAN_SAFETY__WORDS", place.path("words"))
            .output()
            .unwrap();
        let said = failure(&out);
        assert!(said.contains("words cannot be read: it belongs to "), "{said}");
    }
    // The server's own lock, which tools do not take.
    fs::write(place.path("var/h.db.lock"), "").unwrap();
    place.spoil("var/h.db.lock");
    let said = failure(&place.server(&["serve"]).output().unwrap());
    assert!(said.contains("h.db.lock cannot be written: "), "{said}");
    place.mend("var/h.db.lock");
    drop(place.run(&["serve"]));
}

#[test]
fn a_disk_that_is_mounted_read_only_ends_the_start() {
    let place = Place::new();
    ok(&place.server(&["migrate"]).output().unwrap());
    let var = place.path("var");
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(&var).arg(env!("CARGO_BIN_EXE_hongyan")).arg("serve");
    let environment = place.tool(&[]);
    command
        .envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(place.folder.path());
    let out = command.output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    if said.contains("unshare:") || said.contains("mount:") {
        println!("skipped: this user cannot mount: {said}");
        return;
    }
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(
        said.contains("h.db cannot be written: its file system is mounted read-only; mount it read-write"),
        "{said}"
    );
}

#[actix_web::test]
async fn a_file_that_can_no_longer_be_written_makes_the_server_not_ready() {
    let place = Place::new();
    let server = place.run(&["serve"]);
    let ops = Http::new(&server.ops, None);
    assert_eq!(ops.get("/readyz").await.0, 200);
    for name in ["var/h.db", "var/h.db-wal", "var"] {
        place.spoil(name);
        let (status, body) = ops.get("/readyz").await;
        let details = &body["details"];
        assert_eq!(
            (status, &body["reasons"][0], &details["database"]),
            (503, &Value::from("store"), &Value::from("unwritable")),
            "{name}"
        );
        assert!(
            details["database_reason"].as_str().unwrap().contains(&format!("{name} cannot be written: ")),
            "{body}"
        );
        place.mend(name);
        assert_eq!(ops.get("/readyz").await.0, 200, "{name}");
    }
}

/// The fault that was seen: `migrate` as root, and then a server that says that it is ready and refuses every
/// message.
#[actix_web::test]
async fn what_root_makes_beside_a_server_is_the_servers() {
    let place = Place::new();
    for command in [&["migrate"][..], &["backup", "var/copy.db"], &["token", "alice", "--dev"]] {
        let mut tool = place.tool(command);
        if command.contains(&"--dev") {
            tool.env_remove("HONGYAN_AUTH__KEYS");
        }
        ok(&tool.output().unwrap());
    }
    if is_root() {
        let said = ok(&place.tool(&["config", "check"]).output().unwrap());
        assert!(
            said.contains(
                "looked at as root, who may do more than the server: sudo -u nobody hongyan config check\n"
            ),
            "{said}"
        );
        assert!(!ok(&place.server(&["config", "check"]).output().unwrap()).contains("as root"));
    }
    let server = place.run(&["serve"]);
    // Beside a server that runs: its write-ahead log is there.
    ok(&place.tool(&["backup", "copy.db"]).output().unwrap());
    ok(&place.tool(&["migrate"]).output().unwrap());
    let owner = fs::metadata(place.folder.path()).unwrap().uid();
    let mut seen = Vec::new();
    for folder in [".", "var", "data"] {
        for entry in fs::read_dir(place.path(folder)).unwrap() {
            let (path, about) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
            let wanted = if about.is_dir() { 0o700 } else { 0o600 };
            assert_eq!((about.uid(), about.mode() & 0o777), (owner, wanted), "{}", path.display());
            seen.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    for name in ["h.db", "h.db-wal", "h.db-shm", "h.db.lock", "copy.db", "dev.key"] {
        assert!(seen.iter().any(|seen| seen == name), "{name}: {seen:?}");
    }
    let token = ok(&place.tool(&["token", "alice"]).output().unwrap());
    let mut alice =
        Client::connect(&format!("ws://{}/alice", server.at), &["hongyan.v1"], Some(token.trim()))
            .await
            .unwrap();
    alice.expect("init").await;
    alice.send(serde_json::json!({ "type": "text", "to_user_openid": "bob", "client_msg_id": "1", "message": "x" })).await;
    let answer = alice.next().await;
    assert!(matches!(&answer, Said::Frame(frame) if frame["type"] == "ack"), "{answer:?}");
    eventually("ready", async || (Http::new(&server.ops, None).get("/readyz").await.0 == 200).then_some(()))
        .await;
}

/// Settings and secrets as docs/OPERATIONS.md has them in /etc/hongyan: root's, and readable to the server's
/// group.
#[test]
fn who_may_not_read_the_settings_is_told_so() {
    if !is_root() {
        println!("skipped: root alone can make files of another user");
        return;
    }
    let place = Place::new();
    let etc = place.path("etc");
    fs::create_dir(&etc).unwrap();
    fs::write(
        etc.join("hongyan.toml"),
        "[wechat]\nappid = \"wx0\"\nsecret_file = \"secret\"\n[auth]\nkeys_file = \"keys\"\n",
    )
    .unwrap();
    fs::write(etc.join("secret"), "s\n").unwrap();
    fs::write(etc.join("keys"), format!("{KEYS}\n")).unwrap();
    let rights = |path: &Path, group: u32, mode: u32| {
        chown(path, Some(0), Some(group)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let settings = etc.join("hongyan.toml");
    let run = |user: u32, group: u32, arguments: &[&str]| {
        let mut command = place.tool(arguments);
        for name in ["HONGYAN_WECHAT__APPID", "HONGYAN_WECHAT__SECRET", "HONGYAN_AUTH__KEYS"] {
            command.env_remove(name);
        }
        command.env("HONGYAN_CONFIG", &settings).uid(user).gid(group).output().unwrap()
    };
    for name in ["hongyan.toml", "secret", "keys"] {
        rights(&etc.join(name), NOBODY, 0o640);
    }
    rights(&etc, NOBODY, 0o750);
    // Root, and the server's group.
    ok(&run(0, 0, &["config", "check"]));
    ok(&run(4_321, NOBODY, &["config", "show"]));
    ok(&run(NOBODY, NOBODY, &["migrate"]));
    ok(&run(NOBODY, NOBODY, &["token", "alice"]));
    let refused = |arguments: &[&str]| {
        let out = run(4_321, 4_321, arguments);
        assert_eq!(out.status.code(), Some(2));
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(
            said.lines().count() == 1 && !said.contains("missing") && !said.contains("no database"),
            "{said}"
        );
        said
    };
    for command in [&["config", "check"][..], &["ban", "alice"], &["backup", "x.db"], &["serve"]] {
        let said = refused(command);
        let wanted = format!(
            "hongyan.toml: cannot be read: the folder {} belongs to root, group nogroup, mode 0750, and this process runs as user 4321; run this as root (sudo hongyan …), or as a user of the group nogroup",
            etc.display()
        );
        assert!(said.contains(&wanted), "{said}");
    }
    rights(&etc, 0, 0o755);
    rights(&settings, 0, 0o644);
    rights(&etc.join("keys"), 0, 0o644);
    let said = refused(&["config", "check"]);
    assert!(
        said.starts_with(&format!("hongyan: wechat.secret_file ({}:3): the file ", settings.display())),
        "{said}"
    );
    assert!(said.contains("secret cannot be read: it belongs to root, group nogroup, mode 0640"), "{said}");
    // And of the database, whose folder nobody else may enter.
    rights(&etc.join("secret"), 0, 0o644);
    for command in [&["ban", "alice"][..], &["backup", "/tmp/never.db"]] {
        let out = run(4_321, 4_321, command);
        let said = failure(&out);
        assert!(
            said.contains("cannot be read: the folder ")
                && said.contains("run this as nobody (sudo -u nobody hongyan …) or as root"),
            "{said}"
        );
    }
}
