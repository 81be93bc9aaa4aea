//! What operators run is small, and its panics say as much as they did.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{root, text};

/// Panics in a function of its own.
const PROGRAM: &str =
    "#[inline(never)]\nfn at_fault() {\n    panic!(\"on purpose\");\n}\n\nfn main() {\n    at_fault();\n}\n";

fn backtrace(program: &Path) -> String {
    let out = Command::new(program).env("RUST_BACKTRACE", "1").stdin(Stdio::null()).output().unwrap();
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn a_stripped_program_names_functions_and_lines_where_its_debug_data_is() {
    if Command::new("objcopy").arg("--version").stdout(Stdio::null()).status().is_err() {
        return println!("skipped: objcopy is not installed (Debian: binutils)");
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, built, out) =
        (folder.path().join("faulty.rs"), folder.path().join("faulty"), folder.path().join("out"));
    fs::write(&source, PROGRAM).unwrap();
    // As the profile `dist` has it.
    let rustc = Command::new("rustc")
        .args(["-O", "-C", "debuginfo=line-tables-only", "-o"])
        .arg(&built)
        .arg(&source)
        .status()
        .unwrap();
    assert!(rustc.success());
    let split =
        Command::new(root().join("scripts/dist")).arg("--split").arg(&built).arg(&out).status().unwrap();
    assert!(split.success());
    fs::remove_file(&built).unwrap();

    let (program, debug) = (out.join("faulty"), out.join("faulty.debug"));
    let whole = backtrace(&program);
    for part in ["on purpose", "faulty::at_fault", "faulty.rs:3:5"] {
        assert!(whole.contains(part), "{part}: {whole}");
    }
    let lines = |text: &str| text.matches("faulty.rs:7").count();
    assert_eq!(lines(&whole), 1, "{whole}");
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(size(&program) < size(&debug), "the debug data is not in the program");
    fs::remove_file(&debug).unwrap();
    let alone = backtrace(&program);
    for part in ["on purpose", "faulty::at_fault", "faulty.rs:3:5"] {
        assert!(alone.contains(part), "{part}: {alone}");
    }
    assert_eq!(lines(&alone), 0, "{alone}");
}

/// A profile inherits what another says of packages.
#[test]
fn what_operators_run_is_optimized_whole() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let profile = |name: &str| manifest["profile"][name].as_table().unwrap();
    let dist = profile("dist");
    assert_eq!(dist["opt-level"].as_integer(), Some(3));
    for package in profile("release")["package"].as_table().unwrap().keys() {
        assert_eq!(dist["package"][package]["opt-level"].as_integer(), Some(3), "{package}");
    }
    // What is measured and tortured is built like it.
    assert_eq!(profile("torture")["inherits"].as_str(), Some("dist"));
    for script in ["scripts/bench", "scripts/dist"] {
        assert!(text(script).contains("cargo build --profile dist "), "{script}");
    }
}

/// It lets in whoever names a user. scripts/dist asks what it has built whether it is there.
#[test]
fn what_operators_run_has_no_double_of_wechat() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    assert_eq!(manifest["features"]["default"].as_array().unwrap(), &["fake-wechat".into()]);
    let script = text("scripts/dist");
    assert!(script.contains("\nfeatures=postgres-tls\n"));
    assert!(script.contains("cargo build --profile dist --no-default-features --features \"$features\" "));
    let dockerfile = text("Dockerfile");
    let builds: Vec<&str> =
        dockerfile.lines().filter(|line| line.contains("cargo") || line.contains("scripts/")).collect();
    assert_eq!(
        builds,
        [r#"RUN scripts/dist ${FEATURES:+--features "$FEATURES"} /out && mkdir -p /out/data"#]
    );
    assert!(dockerfile.contains("\nARG FEATURES=\n"));
}

#[test]
#[cfg(not(feature = "fake-wechat"))]
fn a_build_without_the_double_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        &["dev", "--listen", "127.0.0.1:0", "--ops-listen", ""][..],
        &["fake-wechat", "--listen", "127.0.0.1:0"],
    ] {
        let out = crate::hongyan(folder.path(), command, &[]);
        assert_eq!(out.status.code(), Some(1), "{command:?}");
        assert!(
            crate::stderr(&out).contains("is built without the double of WeChat"),
            "{}",
            crate::stderr(&out)
        );
    }
}
