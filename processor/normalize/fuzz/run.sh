#!/usr/bin/env bash
# Runs every fuzz target for a number of executions, and ends with a table.
#
#   run.sh RUNS [TARGET…]     JOBS=2 at once; MINUTES=90 a target at most; SEED=… to repeat a run;
#                             CORPUS=… a folder in which what libFuzzer learns is kept for the next run
#
# The targets are built by build.sh; by hand, `cargo fuzz run --sanitizer none auto` works too.
# An input that breaks something stands in target/fuzz/artifacts: mend it, and add it to testdata/regressions.
set -euo pipefail
[[ -z ${CORPUS:-} ]] || CORPUS=$(mkdir -p "$CORPUS" && realpath "$CORPUS")
target_dir=${CARGO_TARGET_DIR:-$(dirname "$0")/../../../target}/fuzz
mkdir -p "$target_dir"
target_dir=$(realpath "$target_dir")
cd "$(dirname "$0")"
runs=${1:?how many executions for each target}
shift
jobs=${JOBS:-2} minutes=${MINUTES:-90} seed=${SEED:-$RANDOM}
testdata=$(realpath ../testdata)

echo "fuzz: building"
./build.sh "$target_dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One target: what it prints goes to its log, what it tells in the end to one line of the table.
one() {
    local target=$1 log=$work/$1.log corpus=${CORPUS:-$work/corpus}/$1 artifacts=$target_dir/artifacts/$1/ begun=$SECONDS
    mkdir -p "$corpus" "$artifacts"
    local options=() seeds=("$testdata")
    [[ -f dictionaries/$target.txt ]] && options+=("-dict=dictionaries/$target.txt")
    [[ -d seeds/$target ]] && seeds+=("seeds/$target")
    # A line or three; a table with its header and ruler takes more.
    local length=512
    case $target in auto | tasklist_table) length=1024 ;; esac
    local status=0
    "$target_dir/release/$target" -runs="$runs" -seed="$seed" -max_total_time=$((minutes * 60)) -max_len=$length -reload=0 \
        -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=1 -artifact_prefix="$artifacts" \
        "${options[@]}" "$corpus" "${seeds[@]}" >"$log" 2>&1 || status=$?
    local done
    done=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    local verdict=ok
    ((${done:-0} >= runs)) || verdict="only that many in $minutes min"
    ((status == 0)) || verdict=FAILED
    printf '%-16s %12s %8s %10s %6s  %s\n' "$target" "${done:-?}" "$((SECONDS - begun)) s" \
        "$((${done:-0} / (SECONDS - begun + 1)))/s" \
        "$(sed -n 's/^stat::peak_rss_mb: *//p' "$log") MB" "$verdict" >"$work/$target.line"
    cat "$work/$target.line"
    if ((status != 0)); then
        grep -v '^#' "$log" | tail -n 60
        cp "$log" "$artifacts/log"
    fi
}

targets=("$@")
if ((${#targets[@]} == 0)); then
    mapfile -t targets < <(cd fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
fi
echo "fuzz: $runs executions for each of ${#targets[@]} targets, seed $seed"
for target in "${targets[@]}"; do
    while (($(jobs -rp | wc -l) >= jobs)); do wait -n || true; done
    one "$target" &
done
wait
printf '\n%-16s %12s %8s %10s %9s\n' target executions took speed memory
cat "$work"/*.line
! grep -qv ' ok$' "$work"/*.line
