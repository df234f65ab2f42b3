#!/usr/bin/env bash
# Line coverage of the decoding modules by the corpus: every file of it once, and nothing made from it.
# Needs `rustup component add llvm-tools`.
#
#   fuzz/coverage.sh            a line for each file, then all of them
#   fuzz/coverage.sh show       the lines themselves
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What stands among the decoders and reads no bytes of a file.
left_out=(
    src/wal/writer.rs      # writes frames
    src/segment/builder.rs # writes segments
    src/segment/dump.rs    # shows what was read, to the tool, which opens files of the operating system only
    src/import/write.rs    # writes rows into a store, whatever reader they come from
)

mapfile -t files < <(find src/{page,paged_file,cursor,record,descriptor,key_file,file_names,change_set,parked}.rs \
    src/{wal,manifest,segment,sec,import} -name '*.rs' ! -path '*/tests*' | sort)
decoding=()
for file in "${files[@]}"; do
    [[ " ${left_out[*]} " == *" $file "* ]] || decoding+=("$file")
done

host=$(rustc -vV | sed -n 's/^host: //p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
if [[ ! -x $tools/llvm-cov ]]; then
    printf 'no llvm-cov: rustup component add llvm-tools\n' >&2
    exit 2
fi
profiles=$(mktemp -d)
trap 'rm -rf "$profiles"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/coverage CARGO_INCREMENTAL=0
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export RUSTFLAGS=-Cinstrument-coverage LLVM_PROFILE_FILE=$profiles/%p-%m.profraw
program=$(cargo test --release -p quiver-fuzz-bodies --test bodies --no-run 2>&1 | tee /dev/stderr |
    sed -n 's/^  Executable .*(\(.*\))$/\1/p')
CORPUS_ONLY=1 "$program" >&2
"$tools/llvm-profdata" merge -sparse "$profiles"/*.profraw -o "$profiles/all"
if [[ ${1:-} == show ]]; then
    "$tools/llvm-cov" show "$program" -instr-profile="$profiles/all" "${decoding[@]}" "${@:2}"
    exit
fi
"$tools/llvm-cov" export -summary-only "$program" -instr-profile="$profiles/all" "${decoding[@]}" |
    grep -oE '"filename":"[^"]*"|"lines":\{"count":[0-9]+,"covered":[0-9]+' |
    awk -F'[^0-9]+' '
        /^"filename"/ { file = $0; sub(/.*\/src\//, "", file); sub(/"$/, "", file) }
        /^"lines"/ {
            if (file == "") { file = "all" }
            printf "%-32s %6d lines %6d missed %7.2f %%\n", file, $2, $2 - $3, $2 ? 100 * $3 / $2 : 100
            file = ""
        }'
