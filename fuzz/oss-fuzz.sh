#!/usr/bin/env bash
# What OSS-Fuzz runs as `build.sh`: targets, seeds and dictionaries into $OUT.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=${OUT:?OSS-Fuzz sets it}
SANITIZER=${SANITIZER:-address} fuzz/build.sh "$out"
for folder in corpus/fuzz/*/; do
    target=$(basename "$folder")
    (cd "$folder" && zip -q -r - .) >"$out/${target}_seed_corpus.zip"
done
