#!/usr/bin/env bash
# Builds all fuzz targets into the folder that it is given, with plain cargo on stable Rust.
#
# `cargo fuzz build --sanitizer none` gives the same and works too. This takes half as long: only our own crates are
# instrumented (instrument.sh), and libFuzzer's 26 files, which all include the same headers, are compiled as one.
set -euo pipefail
cd "$(dirname "$0")"
folder=$1
library=$folder/libfuzzer.a

if [[ ! -f $library || Cargo.lock -nt $library ]]; then
    cargo fetch --locked --quiet
    source=$(cargo metadata --locked --format-version 1 |
        grep -o '"manifest_path":"[^"]*/libfuzzer-sys-[^"]*/Cargo.toml"' | cut -d '"' -f 4)
    source=${source%/Cargo.toml}/libfuzzer
    mkdir -p "$folder/libfuzzer"
    for file in "$source"/*.cpp; do
        case $file in
        # It declares memcmp and its siblings anew, which no other file would stand.
        */FuzzerInterceptors.cpp) ;;
        # A name that two files use for themselves.
        */FuzzerFork.cpp) printf '#define WorkerThread ForkWorkerThread\n#include "%s"\n#undef WorkerThread\n' "$file" ;;
        *) printf '#include "%s"\n' "$file" ;;
        esac
    done >"$folder/libfuzzer/all.cpp"
    for file in "$folder/libfuzzer/all.cpp" "$source/FuzzerInterceptors.cpp"; do
        "${CXX:-c++}" -std=c++17 -O2 -w -fno-omit-frame-pointer -c "$file" -o "$folder/libfuzzer/$(basename "$file" .cpp).o" &
    done
    wait
    rm -f "$library"
    ar rc "$library" "$folder"/libfuzzer/*.o
fi

CUSTOM_LIBFUZZER_PATH=$library CARGO_TARGET_DIR=$folder RUSTC_WRAPPER=$PWD/instrument.sh \
    cargo build --release --locked --quiet
