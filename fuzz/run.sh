#!/usr/bin/env bash
# Runs the fuzz targets and says what came of it.
#
#   fuzz/run.sh MINUTES [TARGET...]   all targets if none is named, MINUTES each (0.15 is nine seconds)
#   fuzz/run.sh --ci [TARGET...]      a fixed number of inputs each, the same ones in every run
#
# What is new goes to fuzz/corpus/TARGET, what crashes to fuzz/artifacts/TARGET. The status is 1 where
# anything was found or a target did not run. JOBS targets run at a time, by default one on each core.
# BUILD=no takes the programs of fuzz/build.sh from OUT, by default fuzz/target/out. Ctrl-C ends the targets,
# and shows what they came to. `--ci` keeps nothing that is new, needs no sanitizer, and where there is no
# nightly toolchain it says so and is content.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=fuzz/targets.sh
source fuzz/targets.sh

usage='usage: fuzz/run.sh MINUTES|--ci [TARGET...]'
minutes=${1:?$usage}
shift
is_ci=no seconds=0
if [[ $minutes == --ci ]]; then
    is_ci=yes
elif [[ $minutes =~ ^([0-9]+(\.[0-9]*)?|\.[0-9]+)$ ]]; then
    seconds=$(awk -v minutes="$minutes" 'BEGIN { s = int(minutes * 60 + 0.5); print (s < 1 ? 1 : s) }')
else
    printf '%s is no number of minutes\n%s\n' "$minutes" "$usage" >&2
    exit 2
fi
out=${OUT:-fuzz/target/out}
jobs=${JOBS:-$(nproc)}
choose_targets "$@"
if [[ $is_ci == yes && ${BUILD:-yes} != no ]] && ! has_nightly; then
    printf 'libFuzzer did not run: it needs a nightly toolchain, and there is none here\n'
    exit 0
fi
if [[ ${BUILD:-yes} != no ]]; then
    if [[ $is_ci == yes ]]; then
        # Built in less time, and with coverage counted not slower.
        export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0
        export SANITIZER=${SANITIZER:-none}
    fi
    fuzz/build.sh "$out" "${targets[@]}"
fi
for target in "${targets[@]}"; do
    if [[ ! -x $out/$target ]]; then
        printf 'no program %s: fuzz/build.sh makes it\n' "$out/$target" >&2
        exit 2
    fi
done
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
mkdir -p "${targets[@]/#/fuzz/artifacts/}" "${targets[@]/#/fuzz/corpus/}" || exit 2
for target in "${targets[@]}"; do
    if [[ ! -w fuzz/artifacts/$target || ! -w fuzz/corpus/$target ]]; then
        printf 'cannot write into fuzz/artifacts/%s and fuzz/corpus/%s\n' "$target" "$target" >&2
        exit 2
    fi
done

# Becomes the target, so that its end is that of the job.
run() {
    local target=$1 new=fuzz/corpus/$1 until=-max_total_time=$seconds
    local how=(-max_len="$(len_max "$target")" -dict="$out/$target.dict" -len_control=0)
    if [[ $is_ci == yes ]]; then
        new=$logs/new-$target
        mkdir "$new"
        # Nothing that could differ from run to run: no clock, no seed of the day, nobody else's findings.
        until=-runs=$(ci_runs "$target")
        # Operands of comparisons are addresses as well, which differ from run to run.
        # A machine that does something else as well may take its time.
        how+=(-seed=1 -reload=0 -use_cmp=0 -timeout=300)
    else
        how+=(-timeout=10)
    fi
    # Leaks are none of ours: every allocation is counted, and what is left over is told by the count.
    # What `quiver-sim` traps and reports is told by its report: libFuzzer aborts at any panic.
    export ASAN_OPTIONS=detect_leaks=0
    exec "$out/$target" "$new" "corpus/fuzz/$target" "$until" "${how[@]}" -rss_limit_mb=2048 \
        -malloc_limit_mb=1024 -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target/" \
        >"$logs/$target" 2>&1
}

was_stopped=no
# A job in the background does not hear Ctrl-C; libFuzzer takes this signal for the same.
stop() {
    was_stopped=yes
    local running
    mapfile -t running < <(jobs -rp)
    ((${#running[@]} == 0)) || kill -TERM "${running[@]}" 2>/dev/null || true
}
trap stop INT TERM

started=()
for target in "${targets[@]}"; do
    while (($(jobs -rp | wc -l) >= jobs)); do
        wait -n || true
    done
    [[ $was_stopped == no ]] || break
    run "$target" &
    started+=("$target")
done
while (($(jobs -rp | wc -l))); do
    wait -n || true
done

# The last number behind a word of a log; zero where there is none.
number() {
    grep -oE "$2 *[0-9]+" "$logs/$1" | tail -n 1 | grep -oE '[0-9]+$' || echo 0
}

failed=0
printf '%-18s %10s %9s %7s %7s %7s  %s\n' target inputs per_s cov new crashes note
for target in "${started[@]}"; do
    inputs=$(number "$target" 'stat::number_of_executed_units:')
    new=$(number "$target" 'stat::new_units_added:')
    rate=$(number "$target" 'stat::average_exec_per_sec:')
    coverage=$(number "$target" 'cov:')
    # An input that was slow and came to its end is none: how slow is for `-timeout` to say.
    crashes=$(grep 'Test unit written to' "$logs/$target" | grep -vc slow-unit || true)
    note=
    if ((crashes > 0)); then
        note=$(grep -m 1 -E 'panicked at|ERROR: |SUMMARY: ' "$logs/$target" || echo crashed)
    elif ((inputs == 0)); then
        note='NOTHING RAN'
    fi
    if [[ -n $note ]]; then
        failed=1
        cp "$logs/$target" "fuzz/artifacts/$target/log.txt"
    fi
    printf '%-18s %10s %9s %7s %7s %7s  %s\n' \
        "$target" "$inputs" "$rate" "$coverage" "$new" "$crashes" "$note"
done
if [[ $was_stopped == yes ]]; then
    printf 'stopped: %d of %d targets were begun\n' "${#started[@]}" "${#targets[@]}"
    exit 130
fi
exit "$failed"
