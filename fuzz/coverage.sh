#!/usr/bin/env bash
# Line coverage of the decoding modules by the corpus and the mutated inputs of the stable test.
# Needs `rustup component add llvm-tools`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
profiles=$(mktemp -d)
trap 'rm -rf "$profiles"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/coverage CARGO_INCREMENTAL=0
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export RUSTFLAGS=-Cinstrument-coverage LLVM_PROFILE_FILE=$profiles/%p-%m.profraw
program=$(cargo test --release -p quiver-fuzz-bodies --test bodies --no-run 2>&1 | tee /dev/stderr |
    sed -n 's/^  Executable .*(\(.*\))$/\1/p')
"$program"
"$tools/llvm-profdata" merge -sparse "$profiles"/*.profraw -o "$profiles/all"
"$tools/llvm-cov" "${1:-report}" "$program" -instr-profile="$profiles/all" \
    src/{page,cursor,record,descriptor,key_file,file_names,change_set,parked}.rs src/wal src/manifest \
    src/segment src/sec src/import "${@:2}"
