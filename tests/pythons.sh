#!/usr/bin/env bash
# Runs the whole test suite on other Pythons, each with the pinned packages, outside this checkout.
#
#   tests/pythons.sh                          every supported Python that is here
#   tests/pythons.sh 3.10 3.13                these
#   tests/pythons.sh 3.12 -- -x tests/checks  what follows -- goes to pytest
#
#   PYTHONS_CACHE=...   where the copies of this tree and their environments stand; they are used again
#
# An interpreter is looked for on the path, then among pyenv's. For each there is a copy of this tree as it
# stands, with a `.venv` that setup.sh makes in it. Where no CPU build of torch can be had for a Python, the
# CUDA build serves, for these tests alone: it takes some 5 GB.
set -uo pipefail

root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cache=${PYTHONS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/transformer-autograder/pythons}
versions=()
while (($#)) && [[ $1 != -- ]]; do
    [[ $1 =~ ^3\.[0-9]+$ ]] || { echo "usage: tests/pythons.sh [3.10 3.12 ...] [-- PYTEST ARGUMENT ...]" >&2; exit 2; }
    versions+=("$1")
    shift
done
(($#)) && shift
((${#versions[@]})) || versions=(3.10 3.11 3.12 3.13)

find_python() {
    local candidate
    for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/python3; do
        if "$candidate" -I -c "import sys; sys.exit(sys.version.split('.')[:2] != '$1'.split('.'))" 2>/dev/null; then
            command -v -- "$candidate"
            return
        fi
    done
    return 1
}

# Everything that git knows or would add, as it stands now; the environment of an earlier run stays.
copy_tree() {
    find "$1" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf -- {} + &&
        git -C "$root" ls-files -z --cached --others --exclude-standard --deduplicate |
        (cd -- "$root" && while IFS= read -r -d '' name; do [[ ! -e $name ]] || printf '%s\0' "$name"; done |
            tar -c --null --files-from=-) | tar -x -C "$1"
}

test_on() {
    local version=$1 python tree=$cache/$1/tree
    shift
    python=$(find_python "$version") || { summary+=("$version: there is no such Python here"); return 1; }
    if ! { mkdir -p -- "$tree" && copy_tree "$tree"; }; then
        summary+=("$version: the tree could not be copied")
        return 1
    fi
    if ! PYTHON=$python TORCH_BUILD=any "$tree/setup.sh" --dev; then
        summary+=("$version: the environment could not be made, see above")
        return 1
    fi
    "$tree/.venv/bin/python" -m pip check || { summary+=("$version: pip check failed"); return 1; }
    (cd -- "$tree" && .venv/bin/pytest "$@") 2>&1 | tee -- "$cache/$version/log"
    local status=${PIPESTATUS[0]}
    summary+=("$("$tree/.venv/bin/python" -c 'import sys, torch; print(sys.version.split()[0], "torch", torch.__version__)'):\
 $(tail -n 1 -- "$cache/$version/log")")
    return "$status"
}

failed=0
summary=()
for version in "${versions[@]}"; do
    printf '\n== Python %s, in %s\n' "$version" "$cache/$version"
    test_on "$version" "$@" || failed=1
done
printf '\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
