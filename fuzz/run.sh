#!/usr/bin/env bash
# Runs the fuzz targets and says what came of it.
#
#   fuzz/run.sh MINUTES [TARGET...]   all targets if none is named, MINUTES each (0.15 is nine seconds)
#
# What is new goes to fuzz/corpus/TARGET, what crashes to fuzz/artifacts/TARGET. The status is 1 where
# anything was found or a target did not run. JOBS targets run at a time, by default one on each core.
# BUILD=no takes the programs of fuzz/build.sh from OUT, by default fuzz/target/out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=${1:?usage: fuzz/run.sh MINUTES [TARGET...]}
shift
seconds=$(awk -v minutes="$minutes" 'BEGIN { s = int(minutes * 60 + 0.5); print (s < 1 ? 1 : s) }')
out=${OUT:-fuzz/target/out}
jobs=${JOBS:-$(nproc)}
targets=("$@")
if ((${#targets[@]} == 0)); then
    mapfile -t targets < <(basename -s .rs fuzz/fuzz_targets/*.rs)
fi
if [[ ${BUILD:-yes} != no ]]; then
    fuzz/build.sh "$out" "${targets[@]}"
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# Longer inputs only take time; the bodies cut them off at the same.
len_max() {
    case $1 in
        file_names) echo 128 ;;
        keyfile_decode) echo 256 ;;
        manifest_decode | descriptor_decode | payload_fields | predicate) echo 4096 ;;
        store_ops) echo 8192 ;;
        segment_open) echo 163840 ;;
        *) echo 16384 ;;
    esac
}

run() {
    local target=$1
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    # Leaks are none of ours: every allocation is counted, and what is left over is told by the count.
    # What `quiver-sim` traps and reports is told by its report: libFuzzer aborts at any panic.
    ASAN_OPTIONS=detect_leaks=0 "$out/$target" "fuzz/corpus/$target" "corpus/fuzz/$target" \
        -max_total_time="$seconds" -max_len="$(len_max "$target")" -dict="$out/$target.dict" \
        -len_control=0 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="fuzz/artifacts/$target/" >"$logs/$target" 2>&1 || true
}

for target in "${targets[@]}"; do
    while (($(jobs -rp | wc -l) >= jobs)); do
        wait -n
    done
    run "$target" &
done
wait

# The last number behind a word of a log; zero where there is none.
number() {
    grep -oE "$2 *[0-9]+" "$logs/$1" | tail -n 1 | grep -oE '[0-9]+$' || echo 0
}

failed=0
printf '%-18s %10s %9s %7s %7s %7s  %s\n' target inputs per_s cov new crashes note
for target in "${targets[@]}"; do
    inputs=$(number "$target" 'stat::number_of_executed_units:')
    new=$(number "$target" 'stat::new_units_added:')
    rate=$(number "$target" 'stat::average_exec_per_sec:')
    coverage=$(number "$target" 'cov:')
    crashes=$(grep -c 'Test unit written to' "$logs/$target" || true)
    note=
    if ((inputs == 0)); then
        note='NOTHING RAN'
    elif ((crashes > 0)); then
        note=$(grep -m 1 -E 'panicked at|ERROR: |SUMMARY: ' "$logs/$target" || true)
    fi
    if [[ -n $note ]]; then
        failed=1
        mkdir -p "fuzz/artifacts/$target"
        cp "$logs/$target" "fuzz/artifacts/$target/log.txt"
    fi
    printf '%-18s %10s %9s %7s %7s %7s  %s\n' \
        "$target" "$inputs" "$rate" "$coverage" "$new" "$crashes" "$note"
done
exit "$failed"
