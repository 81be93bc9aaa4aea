//! What the packages say of themselves, and that the oldest Rust which they name can build them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{root, text};

fn metadata(arguments: &[&str]) -> serde_json::Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn packages(metadata: &serde_json::Value) -> &[serde_json::Value] {
    metadata["packages"].as_array().unwrap()
}

fn oldest_rust() -> String {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    manifest["workspace"]["package"]["rust-version"].as_str().unwrap().to_owned()
}

/// `1.89` and `1.89.0` are the same.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[test]
fn every_package_says_what_it_is() {
    let metadata = metadata(&["--no-deps"]);
    assert!(packages(&metadata).len() >= 2);
    for package in packages(&metadata) {
        let name = package["name"].as_str().unwrap();
        for field in ["description", "license", "readme"] {
            assert!(package[field].as_str().is_some_and(|value| !value.is_empty()), "{name} has no {field}");
        }
        for field in ["keywords", "categories"] {
            let values = package[field].as_array().unwrap();
            assert!((1..=5).contains(&values.len()), "{name} has no {field}, or too many: {values:?}");
        }
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        assert!(manifest.parent().unwrap().join(package["readme"].as_str().unwrap()).exists(), "{name}");
        assert_eq!(package["rust_version"], oldest_rust(), "{name}");
        assert_eq!(package["edition"], "2024", "{name}");
    }
}

/// The lock file as it is: a dependency of a dependency may ask for a newer one without anybody's having
/// asked for it.
#[test]
fn no_dependency_needs_a_newer_rust() {
    let out = Command::new("rustc").arg("-vV").output().unwrap();
    let out = String::from_utf8(out.stdout).unwrap();
    let host = out.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = metadata(&["--filter-platform", host]);
    assert!(packages(&metadata).len() > 100);
    let oldest = version(&oldest_rust());
    let newer: Vec<String> = packages(&metadata)
        .iter()
        .filter(|package| package["rust_version"].as_str().is_some_and(|needed| version(needed) > oldest))
        .map(|package| format!("{} {} {}", package["name"], package["version"], package["rust_version"]))
        .collect();
    assert!(newer.is_empty(), "{newer:?}");
}

/// Clippy refuses what the standard library got after that version, which it reads in Cargo.toml; rustdoc
/// refuses broken links.
#[test]
fn every_package_has_the_lints_of_the_workspace() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let lints = &manifest["workspace"]["lints"];
    assert_eq!(lints["clippy"]["incompatible_msrv"].as_str(), Some("deny"));
    assert_eq!(lints["rustdoc"]["all"]["level"].as_str(), Some("deny"));
    let settings: toml::Table = text("clippy.toml").parse().unwrap();
    assert!(!settings.contains_key("msrv"), "another version than Cargo.toml's");
    for package in packages(&metadata(&["--no-deps"])) {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let settings: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
        assert_eq!(settings["lints"]["workspace"].as_bool(), Some(true), "{}", manifest.display());
        for file in files(&manifest.parent().unwrap().join("src")) {
            assert!(!fs::read_to_string(&file).unwrap().contains("incompatible_msrv"), "{}", file.display());
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs"));
    folders.iter().flat_map(|folder| self::files(folder)).chain(rust).collect()
}

#[test]
fn the_documents_and_the_image_have_that_rust() {
    let oldest = oldest_rust();
    for file in ["README.md", "README.zh-CN.md", "docs/DAY0.md", "docs/DAY0.zh-CN.md"] {
        let document = text(file);
        // 1.63 is Debian's own, which is too old.
        let named = document
            .split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .map(|word| word.trim_matches('.'))
            .filter(|word| word.starts_with("1.") && word.len() == 4 && *word != "1.63");
        let named: Vec<&str> = named.collect();
        assert!(!named.is_empty() && named.iter().all(|named| *named == oldest), "{file}: {named:?}");
    }
    let image = text("Dockerfile");
    let image = image.lines().find_map(|line| line.strip_prefix("ARG BUILD_IMAGE=rust:")).unwrap();
    assert!(version(image.split('-').next().unwrap()) >= version(&oldest), "{image}");
}
