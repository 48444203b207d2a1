#!/bin/sh
# Cargo's RUSTC_WRAPPER: our own parsers get libFuzzer's coverage counters, what they depend on does not. These are the
# flags that `cargo fuzz --sanitizer none --no-trace-compares` passes to every crate; stable Rust takes them. Compares are
# not traced, because in parsers that costs more than half of all executions; the dictionaries say what to look for.
rustc=$1
shift
case " $* " in
*" --crate-name rollcall_domain "* | *" --crate-name rollcall_normalize "*)
    exec "$rustc" "$@" -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-simplifycfg-branch-fold-threshold=0
    ;;
*) exec "$rustc" "$@" ;;
esac
