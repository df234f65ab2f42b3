#!/usr/bin/env bash
# Builds the fuzz targets with nightly, as cargo-fuzz does, which need not be there.
#
#   fuzz/build.sh OUT [TARGET...]     the programs and their dictionaries, in the directory OUT
#
# SANITIZER=address (default), any other that nightly has, none, or coverage for programs that count which
# lines ran. The engine has no unsafe code: without a sanitizer the build takes half the time, and what the
# oracles find is found all the same.
set -euo pipefail

# The directory is the caller's, wherever the build runs.
out=${1:?usage: fuzz/build.sh OUT [TARGET...]}
shift
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=fuzz/targets.sh
source fuzz/targets.sh
choose_targets "$@"
need_nightly
cd fuzz
host=$(rustc +nightly -vV | sed -n 's/^host: //p')

flags=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
    -Cdebug-assertions
    -Coverflow-checks
    --cfg fuzzing
)
case ${SANITIZER:-address} in
    none) ;;
    coverage) flags+=(-Cinstrument-coverage) ;;
    *) flags+=("-Zsanitizer=${SANITIZER:-address}") ;;
esac
# Between flags stands the byte that Cargo splits at, so that a space in one does no harm.
encoded=$(IFS=$'\x1f'; printf '%s' "${flags[*]}")

bins=()
for target in "${targets[@]}"; do
    bins+=(--bin "$target")
done

# With a target of its own, build scripts and macros are built without the flags.
CARGO_ENCODED_RUSTFLAGS=$encoded CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    CARGO_INCREMENTAL=0 cargo +nightly build --locked --release --target "$host" "${bins[@]}"

built=${CARGO_TARGET_DIR:-target}/$host/release
for target in "${targets[@]}"; do
    cp "$built/$target" "$out/$target"
    cp quiver.dict "$out/$target.dict"
done
