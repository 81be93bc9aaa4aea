#!/usr/bin/env bash
# Cargo: a custom profile's own opt-level does not reach the packages that the profile it inherits from names.
#
# Expected: [profile.dist] inherits = "release", opt-level = 3 builds everything at 3: what a profile says itself stands above what it
#           inherits (Cargo book, profiles: a custom profile inherits settings and may override them).
# Found:    [profile.release.package."*"] opt-level = 0 is inherited as well, and the override of a package stands above the profile's own
#           opt-level. So dist builds its own crate at 3 and every dependency at 0, without a word; what operators run is slow, and the
#           line that makes it so stands in another profile. Only [profile.dist.package."*"] opt-level = 3 takes it back, and each package
#           that is named under release must be named again.
# Needs cargo and the crates' registry; runs in a temporary folder.
set -euo pipefail
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
export CARGO_TARGET_DIR=$temp/target
unset RUSTFLAGS
mkdir src
echo 'fn main() { println!("{}", itoa::Buffer::new().format(1)) }' >src/main.rs
manifest() {
  cat >Cargo.toml <<TOML
[package]
name = "tried"
version = "0.1.0"
edition = "2021"

[dependencies]
itoa = "=1.0.15"

[profile.release.package."*"]
opt-level = 0

[profile.dist]
inherits = "release"
opt-level = 3
$1
TOML
}
# The opt-level that rustc was given for a crate; rustc has 0 where none is named.
level() {
  sed -nE "s/.*--crate-name $1 .*/&/p" log | grep -oE 'opt-level=[0-9]' || echo 'opt-level=0'
}
built() {
  manifest "$1"
  rm -rf target
  cargo build --profile dist --verbose >/dev/null 2>log
  printf 'tried %s, itoa %s' "$(level tried)" "$(level itoa)"
}
cargo --version
inherited=$(built '')
echo "dist alone: $inherited"
named=$(built '[profile.dist.package."*"]
opt-level = 3')
echo "with dist.package.\"*\": $named"
[[ $inherited == 'tried opt-level=3, itoa opt-level=0' && $named == 'tried opt-level=3, itoa opt-level=3' ]]
