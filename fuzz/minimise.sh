#!/usr/bin/env bash
# Brings into the corpus what runs have found, and no more of it than adds coverage.
#
#   fuzz/minimise.sh [TARGET...]    all targets if none is named
#
# Of `corpus/fuzz/TARGET` every file stays that has a name of its own: the seeds, and what found something.
# The others, which have the name of their content, are replaced by the fewest of them and of
# `fuzz/corpus/TARGET` that reach every edge that the named ones do not. BUILD and OUT as for `run.sh`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=fuzz/targets.sh
source fuzz/targets.sh

out=${OUT:-fuzz/target/out}
choose_targets "$@"
if [[ ${BUILD:-yes} != no ]]; then
    fuzz/build.sh "$out" "${targets[@]}"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for target in "${targets[@]}"; do
    kept=corpus/fuzz/$target
    mkdir -p "$work/$target" "fuzz/corpus/$target"
    find "$kept" -type f -regextype posix-extended ! -regex '.*/[0-9a-f]{40}' -exec cp {} "$work/$target" \;
    named=$(find "$work/$target" -type f | wc -l)
    # Without counters a feature is an edge: how often it is taken fills folders, and tests little more.
    if ! "$out/$target" -merge=1 -use_counters=0 -max_len="$(len_max "$target")" -timeout=10 \
        -rss_limit_mb=2048 "$work/$target" "$kept" "fuzz/corpus/$target" >"$work/log" 2>&1; then
        tail -n 20 "$work/log" >&2
        exit 1
    fi
    find "$kept" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    find "$work/$target" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -exec cp {} "$kept" \;
    all=$(find "$kept" -type f | wc -l)
    printf '%-18s %4d named, %4d more, %s\n' "$target" "$named" $((all - named)) "$(du -sh "$kept" | cut -f1)"
done
