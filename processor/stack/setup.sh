#!/usr/bin/env bash
# Looks for what the build and the local stack need; installs it where it may, else prints the one command to run.
set -euo pipefail

if ! command -v cargo >/dev/null; then
    echo "setup: no Rust toolchain found; install one with rustup, then run this again" >&2
    exit 1
fi

missing=()
need() { # PACKAGE COMMAND...: the package is missing if one of the commands is
    local package=$1 command
    shift
    for command in "$@"; do
        if ! command -v "$command" >/dev/null; then
            missing+=("$package")
            return
        fi
    done
}
need build-essential cc c++ make
need cmake cmake
need perl perl
need maven mvn
java_version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1 || true)
if [ "${java_version:-0}" -lt 17 ]; then
    # Debian 13 has none older than 21; elsewhere the default may be older than 17.
    missing+=('$(apt-cache show openjdk-17-jre-headless >/dev/null 2>&1 && echo openjdk-17-jre-headless || echo default-jre-headless)')
fi

if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive sh -c "$install"
else
    echo "setup: ${missing[*]} missing; on Debian or Ubuntu run:" >&2
    echo "  sudo sh -c '$install'" >&2
    exit 1
fi
