#!/usr/bin/env bash
# Explores schedules of threads: of the engine that ships, in which nothing may be found, and of a copy
# of it for each bug planted by `sim/mutants/threads/*.patch`, in which something must be. `docs/threads.md`
# says how to read what it prints.
#
#     sim/threads.sh                                  all of it
#     sim/threads.sh explore SLICES SEED              other schedules of the engine that ships
#     sim/threads.sh replay SCENARIO SCHEDULE [BUG]   one schedule again, in a copy with that bug
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly root=$PWD
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/shuttle
# What stands in `.cargo/config.toml` or around this script is for other builds.
export RUSTFLAGS='--cfg shuttle'
readonly planted=$CARGO_TARGET_DIR/planted
# The copies stand outside of the workspace of explorers, or Cargo takes them for members of it.
readonly engines=$planted/engines explorers=$planted/explorers

# A copy of the engine with one bug, under a name of its own.
plant() {
    local name=$1 copy=$engines/$1
    mkdir -p "$copy"
    cp -Rp "$root/src" "$copy/src"
    # The library alone, in a workspace of its own.
    sed -e 's/^members = .*/members = ["."]/' -e "s/^name = \"quiver-store\"/name = \"planted-$name\"/" \
        -e '/^readme = /d' -e '/^\[\[/,/^$/d' "$root/Cargo.toml" >"$copy/Cargo.toml"
    # Git must not take the copy for a part of this repository: it would skip the patch.
    if ! (cd "$copy" && GIT_CEILING_DIRECTORIES=$engines git apply -C1 "$root/sim/mutants/threads/$name.patch"); then
        printf 'sim/mutants/threads/%s.patch no longer applies: plant that bug in the sources as they are now\n' \
            "$name" >&2
        printf '(docs/threads.md, "How to plant a bug")\n' >&2
        return 1
    fi
    # As old as what it was made of, or Cargo builds it anew each time.
    local file source
    while read -r _ _ file; do
        source=$root/sim/mutants/threads/$name.patch
        [[ $root/$file -nt $source ]] && source=$root/$file
        touch -r "$source" "$copy/$file"
    done < <(git apply --numstat "$root/sim/mutants/threads/$name.patch")
}

# The explorer of one engine.
explorer() {
    local name=$1 engine=$2
    mkdir -p "$explorers/$name"
    cat >"$explorers/$name/Cargo.toml" <<EOF
[package]
name = "explorer-$name"
version = "0.0.0"
edition = "2024"
autotests = false

[lib]
path = "../../empty.rs"

[[test]]
name = "threads"
path = "$root/sim/tests/threads/main.rs"
harness = false

[lints.rust]
unexpected_cfgs = { level = "warn", check-cfg = ["cfg(shuttle)"] }

[dependencies]
quiver_store = { $engine, default-features = false }
quiver-sim = { path = "$root/sim" }
shuttle = "=0.9.9"
EOF
}

prepare() {
    rm -rf "$planted"
    mkdir -p "$explorers"
    : >"$planted/empty.rs"
    # What the copies are built from is what is locked.
    cp "$root/Cargo.lock" "$explorers/Cargo.lock"
    local members
    printf -v members '"%s", ' ships "${bugs[@]}"
    cat >"$explorers/Cargo.toml" <<EOF
[workspace]
members = [$members]
resolver = "3"

[profile.dev]
debug = 0
incremental = false

[profile.dev.package."*"]
opt-level = 1
EOF
    explorer ships "package = \"quiver-store\", path = \"$root\""
    local name
    for name in "${bugs[@]}"; do
        plant "$name"
        explorer "$name" "package = \"planted-$name\", path = \"$engines/$name\""
        # It runs for less time than it would take to make it faster.
        printf '\n[profile.dev.package.planted-%s]\nopt-level = 0\n' "$name" >>"$explorers/Cargo.toml"
    done
    (cd "$explorers" && cargo test --quiet --offline --no-run --workspace --test threads)
}

explore() {
    local name=$1
    shift
    (cd "$explorers" && cargo test --quiet --offline --package "explorer-$name" --test threads -- "$@")
}

bugs=()
case ${1:-} in
explore)
    prepare
    explore ships "${@:2}"
    ;;
replay)
    bugs=("${@:4:1}")
    prepare
    explore "${4:-ships}" replay "$2" "$3"
    ;;
'')
    for patch in sim/mutants/threads/*.patch; do
        bugs+=("$(basename "$patch" .patch)")
    done
    prepare
    printf '== built, %d s\n' "$SECONDS"
    explore ships
    for bug in "${bugs[@]}"; do
        # Each thread that panics says so; it is of interest only if it was not meant to.
        if ! explore "$bug" planted "$bug" 2>"$planted/stderr"; then
            cat "$planted/stderr" >&2
            exit 1
        fi
    done
    ;;
*)
    sed -n 's/^#     //p' "$0" >&2
    exit 2
    ;;
esac
