# What a contributor and CI run. `make check` needs no service and answers in a few minutes; `make test` runs everything, and installs what is
# missing when it may (see scripts/test).

.PHONY: check test lint audit fmt bench dist torture test-bundlers

check:
	scripts/check

test:
	scripts/test

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --package hongyan --no-default-features --locked -- -D warnings
	cargo doc --workspace --no-deps --document-private-items --locked

audit:
	scripts/audit

fmt:
	cargo fmt --all

bench:
	scripts/bench

dist:
	scripts/dist

torture:
	scripts/torture

test-bundlers:
	scripts/test-bundlers
