#!/usr/bin/env bash
# Makes requirements.txt and tests/requirements.txt from the two requirements.in, for every supported Python.
#
#   tests/update_requirements.sh             keeps each version that still fits: after a change of a .in
#   tests/update_requirements.sh --upgrade   takes the newest of all but what a .in pins
#
# torch is pinned in requirements.in, since a newer one asks for more than new pins: see docs/development.md.
set -Eeuo pipefail

root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
oldest=$(sed -n 's/^requires-python = ">=\(.*\)"/\1/p' "$root/pyproject.toml")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check uv==0.13.9

# Torch's own pins name CUDA packages, which its CPU build, the one that setup.sh takes, has no use for.
compile() {
    local folder=$1
    shift
    cp -- "$folder/requirements.txt" "$work/requirements.txt"
    (cd -- "$folder" && "$work/env/bin/uv" pip compile --quiet --universal --python-version "$oldest" --no-annotate \
        --no-header "$@" requirements.in --output-file "$work/requirements.txt")
    {
        echo "# Made from requirements.in by tests/update_requirements.sh: change that, then run this."
        grep -vE '^(nvidia-|cuda-|triton=)' "$work/requirements.txt"
    } >"$folder/requirements.txt"
}

compile "$root" "$@"
compile "$root/tests" --constraint "$root/requirements.txt" "$@"
git -C "$root" --no-pager diff --stat -- requirements.txt tests/requirements.txt
