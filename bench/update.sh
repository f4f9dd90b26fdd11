#!/usr/bin/env bash
# Measures everything on this machine, and renews the README's summary, bench/RESULTS.md and the plots. Takes a while; wants a quiet machine.
# Arguments go to bench: `bench/update.sh -quick`.
set -euo pipefail
cd "$(dirname "$0")/.."
go run ./bench -readme README.md -tables bench/RESULTS.md -plots bench/plots "$@"
