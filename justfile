# `just` lists what there is. Everything also works without just: see the command below each name.

export NARTHEX_TIER := env("NARTHEX_TIER", "quick")

_default:
    @just --list --unsorted

# The program, optimised: target/release/narthex
build:
    cargo build --release --locked

# Unit and integration tests, cargo only
quick:
    tests/run --quick

# All tests, against real identity providers and applications
test:
    tests/run

# Format, lints, dependencies, documentation
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo clippy --locked --no-default-features --lib --bins -- -D warnings
    cargo deny --locked --all-features check bans licenses sources
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

# Known weaknesses of the dependencies; needs GitHub
advisories:
    cargo deny --locked --all-features check advisories

# A provider, a legacy application and narthex between them, on loopback
demo:
    cargo run --release --locked -- demo

# narthex, nginx and oauth2-proxy under load, on this machine
bench *arguments:
    benches/run {{ arguments }}

# The Helm charts, without a cluster
charts *arguments:
    tests/helm/run {{ arguments }}

# Writes the generated pages of docs/ anew
docs:
    NARTHEX_BLESS=1 cargo test --locked --lib generated_docs

# Takes each defence out in turn; the tests have to notice. Groups or files, or all
mutants *arguments:
    tests/mutants/run {{ arguments }}

# The container image and its bill of materials: target/image
image *arguments:
    deploy/image {{ arguments }}

# What CI runs
ci:
    CI=true bash .ci/run
