# What the scripts here know of the targets; they source it.

# Sets `targets` to the names given, or to all; says which there are if one is none.
choose_targets() {
    local all name
    mapfile -t all < <(basename -s .rs fuzz/fuzz_targets/*.rs)
    targets=("$@")
    ((${#targets[@]})) || targets=("${all[@]}")
    for name in "${targets[@]}"; do
        if [[ ! -f fuzz/fuzz_targets/$name.rs ]]; then
            printf 'no target %s; there are: %s\n' "$name" "${all[*]}" >&2
            exit 2
        fi
    done
}

# Longer inputs only take time; the bodies cut them off at the same.
len_max() {
    case $1 in
        file_names) echo 128 ;;
        keyfile_decode) echo 256 ;;
        manifest_decode | descriptor_decode | payload_fields | predicate) echo 4096 ;;
        store_ops) echo 8192 ;;
        changes_decode) echo 32768 ;;
        segment_open) echo 163840 ;;
        *) echo 16384 ;;
    esac
}

# How many inputs take about eight seconds of one core.
ci_runs() {
    case $1 in
        file_names) echo 1300000 ;;
        descriptor_decode) echo 500000 ;;
        import | keyfile_decode | wal_decode) echo 330000 ;;
        page_decode) echo 240000 ;;
        manifest_decode) echo 80000 ;;
        predicate) echo 24000 ;;
        payload_fields) echo 9000 ;;
        tombstones_decode) echo 6000 ;;
        changes_decode) echo 3900 ;;
        log_replay | parked_decode | sec_decode | store_ops) echo 2500 ;;
        segment_open) echo 1600 ;;
        segment_pages) echo 130 ;;
        *) echo 1000 ;;
    esac
}

# Ends the script where there is no nightly toolchain.
need_nightly() {
    if ! has_nightly; then
        printf 'no nightly toolchain, which libFuzzer needs: rustup toolchain install nightly\n' >&2
        exit 2
    fi
}

has_nightly() {
    rustc +nightly --version >/dev/null 2>&1
}
