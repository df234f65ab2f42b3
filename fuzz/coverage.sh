#!/usr/bin/env bash
# Line coverage of the decoding modules by the corpus and the mutated inputs of the stable test.
# Needs `llvm-profdata` and `llvm-cov` of the compiler's LLVM or newer (LLVM_PREFIX, LLVM_SUFFIX say which).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}/coverage
profiles=$(mktemp -d)
trap 'rm -rf "$profiles"' EXIT
export CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=0 RUSTFLAGS=-Cinstrument-coverage
export LLVM_PROFILE_FILE=$profiles/%p-%m.profraw
cargo test --release -p quiver-fuzz-bodies --test bodies --no-run
program=$(cargo test --release -p quiver-fuzz-bodies --test bodies --no-run 2>&1 |
    sed -n 's/^  Executable .*(\(.*\))$/\1/p')
"$program"
"${LLVM_PREFIX:-}llvm-profdata${LLVM_SUFFIX:-}" merge -sparse "$profiles"/*.profraw -o "$profiles/all"
"${LLVM_PREFIX:-}llvm-cov${LLVM_SUFFIX:-}" report "$program" -instr-profile="$profiles/all" \
    src/{page,cursor,record,descriptor,key_file,file_names,change_set,parked}.rs src/wal src/manifest \
    src/segment src/sec src/import "$@"
