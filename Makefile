# What a contributor and CI run. `make test` installs what is missing when it may (see scripts/test).

.PHONY: test lint fmt bench torture

test:
	scripts/test

lint:
	cargo fmt --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt:
	cargo fmt

bench:
	@test -x scripts/bench || { echo "make bench: scripts/bench is not there yet" >&2; exit 1; }
	scripts/bench

torture:
	@test -x scripts/torture || { echo "make torture: scripts/torture is not there yet" >&2; exit 1; }
	scripts/torture
