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
        keyfile_decode | keyfile_open) echo 256 ;;
        manifest_decode | descriptor_decode | payload_fields | predicate) echo 4096 ;;
        store_ops) echo 8192 ;;
        changes_decode) echo 32768 ;;
        segment_open) echo 163840 ;;
        *) echo 16384 ;;
    esac
}

# How many inputs take five to eight seconds of one core, so that all of them and their build stay below three minutes.
ci_runs() {
    case $1 in
        file_names) echo 800000 ;;
        descriptor_decode) echo 300000 ;;
        import | keyfile_decode | wal_decode) echo 200000 ;;
        page_decode) echo 150000 ;;
        manifest_decode) echo 50000 ;;
        predicate) echo 15000 ;;
        payload_fields) echo 6000 ;;
        keyfile_open | tombstones_decode) echo 4000 ;;
        changes_decode) echo 2500 ;;
        log_replay | parked_decode | sec_decode) echo 1600 ;;
        segment_open | store_ops) echo 1000 ;;
        segment_pages) echo 100 ;;
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
