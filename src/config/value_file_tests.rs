//! `key_file` in a settings file, and which settings file is read.

use std::fs;
use std::path::Path;

use super::keys::KEYS;
use super::*;

fn at(file: &Path) -> Inputs {
    Inputs { file: Some(file.to_owned()), ..Inputs::default() }
}

fn refused(file: &Path) -> String {
    load(&Profile::Tool, &at(file)).unwrap_err().to_string()
}

#[test]
fn every_key_may_stand_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("h.toml");
    for key in KEYS {
        assert!(!key.name.ends_with("_file"), "{} could not be told from the name of a file", key.name);
        let Value::Text(default) = key.default_value() else { panic!("{}", key.name) };
        let (section, name) = key.name.split_once('.').unwrap();
        fs::write(folder.path().join("value"), format!("{default}\n")).unwrap();
        fs::write(&settings, format!("[{section}]\n{name}_file = \"value\"\n")).unwrap();
        let loaded = load(&Profile::Tool, &at(&settings))
            .unwrap_or_else(|problems| panic!("{}: {problems}", key.name));
        let source = loaded.source(key.name).unwrap().to_string();
        assert_eq!(
            source,
            format!("{}:2, file {}", settings.display(), folder.path().join("value").display())
        );
    }
}

#[test]
fn a_secret_in_a_file_is_the_secret_and_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("h.toml");
    let secrets = folder.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("wechat"), "app-s3cret\r\n").unwrap();
    fs::write(secrets.join("url"), "postgres://h:s3cret@a,b:5433/im\n").unwrap();
    fs::write(
        secrets.join("keys"),
        "k1:0123456789abcdef0123456789abcdef\nk2:0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    let url = secrets.join("url");
    let text = format!(
        "[wechat]\nsecret_file = \"secrets/wechat\"\n[database]\nurl_file = {:?}\n[auth]\nkeys_file = \"secrets/keys\"\n",
        url.display().to_string()
    );
    fs::write(&settings, text).unwrap();
    let loaded = load(&Profile::Tool, &at(&settings)).unwrap();
    assert_eq!(loaded.config.wechat.secret.expose(), "app-s3cret");
    assert_eq!(loaded.config.auth.keys.len(), 2);
    let shown = show::settings(&loaded);
    assert!(
        shown.contains("database.url = \"postgres://h:***@a,b:5433/im\"") && !shown.contains("s3cret"),
        "{shown}"
    );
    // The environment wins, as over any other line of the file.
    let mut inputs = at(&settings);
    inputs.environment.push(("HONGYAN_WECHAT__SECRET".into(), "other".into()));
    assert_eq!(load(&Profile::Tool, &inputs).unwrap().config.wechat.secret.expose(), "other");
}

#[test]
fn a_file_of_a_secret_that_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("h.toml");
    let said = |text: &str| {
        fs::write(&settings, text).unwrap();
        refused(&settings).replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(
        said("[wechat]\nsecret_file = \"none\"\n"),
        "wechat.secret_file (h.toml:2): the file none cannot be read: No such file or directory (os error 2)"
    );
    fs::write(folder.path().join("some"), "s\n").unwrap();
    assert_eq!(
        said("[wechat]\nsecret = \"x\"\nsecret_file = \"some\"\n"),
        "wechat.secret (h.toml:3, file some): given twice, also by h.toml:2: keep one"
    );
    assert_eq!(
        said("[wechat]\nsecret_file = 1\n"),
        "wechat.secret_file (h.toml:2): must be the path of a file that holds the value"
    );
    assert!(
        said("[auth]\nkeys_file = \"some\"\n")
            .starts_with("auth.keys (h.toml:2, file some): this value is not allowed: ")
    );
    assert!(
        said("[wechat]\nsecrets_file = \"some\"\n")
            .starts_with("wechat.secrets_file (h.toml:2): unknown key; ")
    );
}

#[test]
fn the_first_usual_file_that_is_there_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["own.toml", "system.toml"].map(|name| folder.path().join(name));
    let inputs = || Inputs { usual_files: files.to_vec(), ..Inputs::default() };
    let read = |inputs: Inputs| {
        let loaded = load(&Profile::Tool, &inputs).unwrap();
        (loaded.file, loaded.config.wechat.appid)
    };
    assert_eq!(read(inputs()), (None, String::new()));
    fs::write(&files[1], "[wechat]\nappid = \"wx-system\"\n").unwrap();
    assert_eq!(read(inputs()), (Some(files[1].clone()), "wx-system".to_owned()));
    fs::write(&files[0], "[wechat]\nappid = \"wx-own\"\n").unwrap();
    assert_eq!(read(inputs()), (Some(files[0].clone()), "wx-own".to_owned()));
    let named = Inputs { environment: vec![("HONGYAN_CONFIG".into(), files[1].clone().into())], ..inputs() };
    assert_eq!(read(named).1, "wx-system");
}
