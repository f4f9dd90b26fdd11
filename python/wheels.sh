#!/usr/bin/env bash
# Builds the wheels of all platforms: python/wheels.sh FOLDER. It needs Go, and build, setuptools and wheel for the python3 of PYTHON.
set -euo pipefail
out=$(realpath "$1")
cd "$(dirname "$0")"
for platform in {linux,darwin,windows}/{amd64,arm64}; do
	rm -rf build
	LANEWISE_PLATFORM=$platform "${PYTHON:-python3}" -m build --wheel --no-isolation --outdir "$out" .
done
rm -rf build lanewise.egg-info
