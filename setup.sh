#!/usr/bin/env bash
IFS= read -r first <"$0"; [[ $first != *$'\r' ]] || { printf '%s\n' "$0 has Windows line ends. Run: sed -i 's/.$//' setup.sh run_autograder requirements.txt" >&2; exit 1; } #
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
# `.venv/.made-by-setup` is written first: an environment without it, or another user's, is never touched.
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
trap 'fail "Put right what stands above, then run setup.sh again: it repairs what is there."' ERR

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

log=$(mktemp "${TMPDIR:-/tmp}/setup.XXXXXX" 2>/dev/null) || log=/dev/null
working=
trap '[[ $log == /dev/null ]] || rm -f -- "$log"' EXIT
trap '[[ -z $working ]] || kill "$working" 2>/dev/null; exit 130' INT TERM

# Runs a command with its output in the log, and says every few seconds that it goes on.
run() {
    local started=$SECONDS told=$SECONDS
    "$@" >"$log" 2>&1 </dev/null &
    working=$!
    while kill -0 "$working" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS - told >= ${SETUP_TELL_SECONDS:-5})); then
            told=$SECONDS
            say "... $((SECONDS - started)) s, $(du -sm -- "$venv" 2>/dev/null | cut -f1) MB so far"
        fi
    done
    local finished=$working
    working=
    wait "$finished"
}

# Ends with what the log of a failed step says, in the words of who has to mend it. $@: if it says nothing known.
fail_as_logged() {
    local free
    free=$(df -Pm -- "$root" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if grep -qE 'No space left on device|Errno 28|Disk quota exceeded' "$log" || ((${free:-1000} < 50)); then
        fail "The disk is full: ${free:-?} MB are free where $root is." \
            "The environment takes 900 MB, and pip needs 300 MB in ${TMPDIR:-/tmp} while it installs." \
            "Make room (or set TMPDIR to a folder on another disk), then run setup.sh again."
    elif grep -qE 'NewConnectionError|Failed to establish a new connection|ConnectTimeout|ProxyError|name resolution|Name or service not known|Network is unreachable|Connection (refused|reset)|nodename nor servname' "$log"; then
        fail "There is no network, or no package index answers: neither pip's own nor $torch_index." \
            "Connect, or name a mirror (PIP_INDEX_URL, and TORCH_INDEX_URL for torch), then run setup.sh again."
    fi
    grep -vE '^ *$|^WARNING: Retrying' "$log" | tail -n 12 | cut -c -300 >&2 || :
    fail "$@" "Put that right, then run setup.sh again: it repairs what is there."
}

same() { [[ -f $1 && -f $2 ]] && cmp -s -- "$1" "$2"; }

is_ready() {
    same "$root/requirements.txt" "$venv/.ready" && [[ -x $venv/bin/python ]] || return 1
    [[ -z $dev ]] || same "$root/tests/requirements.txt" "$venv/.ready-dev"
}

python_version() { "$1" -I -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }

is_supported() { [[ $(python_version "$1") =~ ^3\.1[0-3]\. ]]; }

can_make_venv() { "$1" -I -c 'import venv, ensurepip' >/dev/null 2>&1; }

# Sets `python`. 3.11 comes first: it is the version the tests run on, and torch, which drops the oldest
# Python first and reaches mirrors late for the newest, has a wheel for it longest.
choose_python() {
    local candidate version without_venv='' others=''
    if [[ -n ${PYTHON:-} ]]; then
        is_supported "$PYTHON" || fail "PYTHON=$PYTHON is $(python_version "$PYTHON" || echo "no Python that runs"):\
 Python 3.10 to 3.13 is needed."
        set -- "$PYTHON"
    else
        set -- python3.11 python3.12 python3.13 python3.10 python3 python3.14 python3.9 python3.8
    fi
    for candidate; do
        if ! is_supported "$candidate"; then
            version=$(python_version "$candidate") && others+="${others:+, }$candidate is $version"
            continue
        fi
        if can_make_venv "$candidate"; then
            python=$candidate
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    [[ -n $without_venv ]] || fail "Python 3.10 to 3.13 is needed, and there is none here${others:+: $others}." \
        "Install one, or name it: PYTHON=/path/to/python3 ./setup.sh"
    python=$without_venv
    local package
    package=$("$python" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    [[ -n $on_gradescope && $EUID -eq 0 ]] || fail "$python cannot make environments." \
        "On Debian and Ubuntu: sudo apt-get install $package"
    step="installing $package"
    say "$step"
    export DEBIAN_FRONTEND=noninteractive
    { run apt-get -qq update && run apt-get -qq install --yes --no-install-recommends "$package"; } ||
        fail_as_logged "$package could not be installed."
    rm -rf /var/lib/apt/lists/*
}

# "2.13.0+cpu" is a version that only CPU builds have, and PyPI has none: asking for it can fetch no CUDA.
# Where a mirror gives its CPU build another name, or on a Mac, pip has to tell first what it would install.
install_torch() {
    local version plan=$venv/torch-plan.json
    version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$root/requirements.txt")
    step="installing torch $version, the CPU build"
    say "$step, from pip's own sources or $torch_index"
    if run pip install --quiet --no-deps --no-compile --retries 1 --timeout 15 \
        --extra-index-url "$torch_index" "torch==$version+cpu"; then
        return
    fi
    say "no torch $version+cpu there; asking pip for its torch $version"
    run pip install --quiet --dry-run --ignore-installed --retries 1 --timeout 15 --report "$plan" "torch==$version" ||
        fail_as_logged "Neither $torch_index nor pip's own sources gave torch $version." \
            "Check the network, or set TORCH_INDEX_URL to an index with CPU builds."
    [[ ${TORCH_BUILD:-cpu} == any ]] || "$venv/bin/python" -I - "$plan" <<'PYTHON' || { fail \
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
    run pip install --quiet --no-deps --no-compile "torch==$version" || fail_as_logged "torch could not be installed."
}

owner_of() { stat -c %U -- "$1" 2>/dev/null || stat -f %Su -- "$1"; } # GNU's, or a Mac's

# Another user's environment, or one that something else made, is theirs: it is neither used up nor deleted.
check_owner() {
    [[ -e $venv || -L $venv ]] || return 0
    step="looking at $venv"
    if [[ ! -O $venv || ! -r $venv || ! -w $venv || ! -x $venv ]]; then
        fail "It belongs to $(owner_of "$venv"), and is not ready for $(id -un): its Python cannot be run,\
 or it was made for other requirements." "Copy the checkout to a folder of your own and run setup.sh there." \
            "Nothing was deleted."
    fi
    [[ -e $venv/.made-by-setup || -e $venv/.ready || -z $(ls -A -- "$venv") ]] ||
        fail "setup.sh did not make it, and does not delete it. Move it away: mv $venv $venv.old"
}

make_environment() {
    local site requirements=(-r "$root/requirements.txt")
    if [[ ! -f $venv/.ready ]] || ! "$venv/bin/python" -I -c 'import pip' 2>/dev/null; then
        step="choosing a Python"
        choose_python
        step="making $venv"
        say "$step with $(command -v -- "$python"), Python $(python_version "$python")"
        run rm -rf -- "$venv" || fail_as_logged "The old environment cannot be deleted."
        { mkdir -- "$venv" && touch -- "$venv/.made-by-setup"; } >"$log" 2>&1 || fail_as_logged "$root cannot be written."
        run "$python" -I -m venv "$venv" || fail_as_logged "$python could not make an environment."
    fi
    rm -f -- "$venv/.ready" "$venv/.ready-dev"
    install_torch

    step="installing the packages of requirements.txt${dev:+ and tests/requirements.txt}"
    say "$step"
    [[ -z $dev ]] || requirements+=(-r "$root/tests/requirements.txt")
    run pip install --quiet --no-compile "${requirements[@]}" || fail_as_logged "pip could not install them."

    # A seventh of what pip installed, which nothing imports: it would only make the image larger.
    step="removing torch's headers and compilers, and the packages' own tests"
    site=$("$venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    rm -rf -- "$site"/torch/{include,test,bin/*[tT]est*,bin/protoc*}
    # numpy.testing, which students call, imports a file of numpy's tests on Python 3.10.
    find "$site" -mindepth 2 -type d -name tests ! -path "$site/numpy/*" -prune -exec rm -rf -- {} +

    step="compiling to bytecode"
    say "$step"
    # Some packages carry files for newer Pythons than this one, which do not compile and are not imported.
    run "$venv/bin/python" -I -m compileall -qq -j 0 "$site" "$root/autograder" "$root/reference" || :

    step="checking that torch works, without CUDA"
    "$venv/bin/python" -I -c '
import sys, torch
assert torch.ones(2).sum() == 2
if sys.argv[1] != "any":
    sys.exit(torch.version.cuda and f"torch {torch.__version__} is a CUDA build")' "${TORCH_BUILD:-cpu}"

    step="writing $venv/.ready"
    rm -f -- "$venv/torch-plan.json"
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
check_owner
make_environment
say "ready"
