# What a contributor and CI run. `make test` installs what is missing when it may (see scripts/test).

.PHONY: test lint audit fmt bench torture test-bundlers

test:
	scripts/test

lint:
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

audit:
	scripts/audit

fmt:
	cargo fmt

bench:
	scripts/bench

torture:
	scripts/torture

test-bundlers:
	scripts/test-bundlers
