#!/usr/bin/env bash
# Makes the environment `.venv` beside this file: on Gradescope, which runs this as root while it builds
# the container's image, and anywhere else.
#
#   ./setup.sh          what grading needs
#   ./setup.sh --dev    and what the tests need
#
#   PYTHON=...            the Python to use (3.10 to 3.13), if not the first one found
#   TORCH_INDEX_URL=...   a package index with CPU builds of torch, instead of PyTorch's own
#   TORCH_BUILD=any       takes the CUDA build where there is no other, some 5 GB: tests/pythons.sh asks for it
#
# `.venv/.ready` is written last and holds the requirements the environment was made from: without it, or
# with other requirements in it, the environment is not used. Run again after a failure; a second run after
# a success has nothing to do.
set -Eeuo pipefail

root=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
venv=$root/.venv
torch_index=${TORCH_INDEX_URL:-https://download.pytorch.org/whl/cpu}
step="starting"

say() { printf 'setup.sh: %s\n' "$*"; }

fail() {
    trap - ERR
    printf 'setup.sh: FAILED while %s.\n' "$step" >&2
    printf '          %s\n' "$@" >&2
    exit 1
}
trap 'fail "The reason stands above. Put it right, then run setup.sh again: it repairs what is there."' ERR

dev=
case "$*" in
    "") ;;
    --dev) dev=yes ;;
    *)
        printf 'usage: setup.sh [--dev]\n' >&2
        exit 2
        ;;
esac

on_gradescope=
pip_options=(--disable-pip-version-check --no-input)
if [[ $root == "${AUTOGRADER_HOME:-/autograder}/source" ]]; then
    on_gradescope=yes
    pip_options+=(--no-cache-dir) # a cache would stay in the image
fi

pip() { "$venv/bin/python" -I -m pip "${pip_options[@]}" "$@"; }

same() { [[ -f $1 && -f $2 ]] && cmp -s -- "$1" "$2"; }

is_ready() {
    same "$root/requirements.txt" "$venv/.ready" && [[ -x $venv/bin/python ]] || return 1
    [[ -z $dev ]] || same "$root/tests/requirements.txt" "$venv/.ready-dev"
}

is_supported() {
    "$1" -I -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

can_make_venv() { "$1" -I -c 'import venv, ensurepip' >/dev/null 2>&1; }

# Sets `python`. 3.11 comes first: it is the version the tests run on, and torch, which drops the oldest
# Python first and reaches mirrors late for the newest, has a wheel for it longest.
choose_python() {
    local candidate without_venv=
    if [[ -n ${PYTHON:-} ]]; then
        is_supported "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.10 to 3.13 that runs."
        set -- "$PYTHON"
    else
        set -- python3.11 python3.12 python3.13 python3.10 python3
    fi
    for candidate; do
        is_supported "$candidate" || continue
        if can_make_venv "$candidate"; then
            python=$candidate
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    [[ -n $without_venv ]] || fail "No Python 3.10 to 3.13 was found." \
        "Install one, or name it: PYTHON=/path/to/python3 ./setup.sh"
    python=$without_venv
    local package
    package=$("$python" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    [[ -n $on_gradescope && $EUID -eq 0 ]] || fail "$python cannot make environments." \
        "On Debian and Ubuntu: sudo apt-get install $package"
    step="installing $package"
    say "$step"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --yes --no-install-recommends "$package" >/dev/null
    rm -rf /var/lib/apt/lists/*
}

# "2.13.0+cpu" is a version that only CPU builds have, and PyPI has none: asking for it can fetch no CUDA.
# Where a mirror gives its CPU build another name, or on a Mac, pip has to tell first what it would install.
install_torch() {
    local version reason=$venv/torch.log plan=$venv/torch-plan.json
    version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$root/requirements.txt")
    step="installing torch $version, the CPU build"
    say "$step, from pip's own sources or $torch_index"
    if pip install --quiet --no-deps --no-compile --retries 1 --timeout 15 \
        --extra-index-url "$torch_index" "torch==$version+cpu" 2>"$reason"; then
        return
    fi
    say "no torch $version+cpu there; asking pip for its torch $version"
    pip install --quiet --dry-run --ignore-installed --report "$plan" "torch==$version" 2>>"$reason" ||
        { cat -- "$reason" >&2; fail "Neither $torch_index nor pip's own sources gave torch $version." \
            "Check the network, or set TORCH_INDEX_URL to an index with CPU builds."; }
    [[ ${TORCH_BUILD:-cpu} == any ]] || "$venv/bin/python" -I - "$plan" <<'PYTHON' || { cat -- "$reason" >&2; fail \
        "There is no CPU build of torch $version for $("$venv/bin/python" -I -c \
            'import sys; print("Python %d.%d" % sys.version_info[:2])') on pip's own sources or $torch_index." \
        "pip's torch $version is a CUDA build, several GB that grading has no use for; nothing was installed." \
        "Make $torch_index reachable, set TORCH_INDEX_URL to an index with CPU builds, or choose another PYTHON."; }
import json, re, sys
with open(sys.argv[1], encoding="utf-8") as file:
    names = [item["metadata"]["name"].lower() for item in json.load(file)["install"]]
sys.exit(any(re.match(r"nvidia|cuda|triton|pytorch-triton", name) for name in names))
PYTHON
    [[ ${TORCH_BUILD:-cpu} == cpu ]] || say "taking that: a CUDA build takes some 5 GB"
    pip install --quiet --no-deps --no-compile "torch==$version"
}

make_environment() {
    local site requirements=(-r "$root/requirements.txt")
    if [[ ! -f $venv/.ready ]] || ! "$venv/bin/python" -I -c 'import pip' 2>/dev/null; then
        step="choosing a Python"
        choose_python
        step="making $venv"
        say "$step with $("$python" -I -c 'import sys; print(sys.executable, sys.version.split()[0])')"
        rm -rf -- "$venv"
        "$python" -I -m venv "$venv"
    fi
    rm -f -- "$venv/.ready" "$venv/.ready-dev"
    install_torch

    step="installing the packages of requirements.txt${dev:+ and tests/requirements.txt}"
    say "$step"
    [[ -z $dev ]] || requirements+=(-r "$root/tests/requirements.txt")
    pip install --quiet --no-compile "${requirements[@]}"

    # A seventh of what pip installed, which nothing imports: it would only make the image larger.
    step="removing torch's headers and compilers, and the packages' own tests"
    site=$("$venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    rm -rf -- "$site"/torch/{include,test,bin/*[tT]est*,bin/protoc*}
    find "$site" -mindepth 2 -type d -name tests -prune -exec rm -rf -- {} +

    step="compiling to bytecode"
    say "$step"
    # Some packages carry files for newer Pythons than this one, which do not compile and are not imported.
    "$venv/bin/python" -I -m compileall -qq -j 0 "$site" "$root/autograder" "$root/reference" || :

    step="checking that torch works, without CUDA"
    "$venv/bin/python" -I -c '
import sys, torch
assert torch.ones(2).sum() == 2
if sys.argv[1] != "any":
    sys.exit(torch.version.cuda and f"torch {torch.__version__} is a CUDA build")' "${TORCH_BUILD:-cpu}"

    step="writing $venv/.ready"
    rm -f -- "$venv/torch.log" "$venv/torch-plan.json"
    [[ -z $dev ]] || cp -- "$root/tests/requirements.txt" "$venv/.ready-dev"
    cp -- "$root/requirements.txt" "$venv/.ready.new"
    mv -- "$venv/.ready.new" "$venv/.ready"
}

# Two runs at once, as when tests start two dry runs, take turns; a Mac has no flock and goes without.
if command -v flock >/dev/null; then
    exec 9<"$root/requirements.txt"
    flock 9
fi
if is_ready; then
    say "the environment is ready, nothing to do"
    exit 0
fi
make_environment
say "ready"
