#!/usr/bin/env bash
# Makes .venv and installs the kit there with all it is developed with, in the versions of tools/constraints.txt; with
# LOCKED=0, in the newest ones. Safe to run again: pip adds what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
log=$venv/setup.log
is_recent='import sys; sys.exit(sys.version_info < (3, 11))'
if [ "${LOCKED:-1}" = 0 ]; then versions="--upgrade --upgrade-strategy eager"; else versions="-c tools/constraints.txt"; fi
# Room for .venv (6.5 GB with the CUDA libraries torch brings on Linux) and the downloads it is made from.
if [ "$(uname -s)" = Linux ]; then needed_gb=12; else needed_gb=5; fi

fail() {
    echo "set-up: $*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c "$is_recent" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer found (tried ${PYTHON:-python3, python3.13, python3.12, python3.11});" \
        "install one, or name it: make PYTHON=/path/to/python3.12 ..."
}

check_room() {
    local free_gb
    free_gb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024 / 1024) }')
    [ "${free_gb:-0}" -ge "$needed_gb" ] ||
        fail "$free_gb GB are free here and $needed_gb GB are needed (torch is large); make room and run make again."
}

make_venv() {
    local python
    python=$(find_python)
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$python has no venv module; install it (Debian and Ubuntu: apt install python3-venv) and run make again."
    echo "== set-up: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
}

explain_pip() {
    grep -E 'ERROR|WARNING' "$log" | tail -n 3 >&2 || tail -n 3 "$log" >&2
    if grep -qi 'no space left' "$log"; then
        fail "pip ran out of disk space, here or in ${TMPDIR:-/tmp}; make room and run make again. All of it: $log"
    elif grep -qiE 'connection broken|connection.*(failed|refused|reset)|name resolution|timed out|max retries' "$log"; then
        fail "pip cannot reach the package registry; check the network or pip's settings and run make again. All of it: $log"
    fi
    fail "pip could not install the packages (see above); all of it: $log"
}

"$venv/bin/python" -c "$is_recent" 2>/dev/null || make_venv
"$venv/bin/python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null || check_room
echo "== set-up: installing handlerkit, torch, TorchServe, JupyterLab and the tools into $venv (minutes, the first time)"
# shellcheck disable=SC2086 # $versions is several words
"$venv/bin/python" -m pip install --quiet $versions --editable '.[dev]' >"$log" 2>&1 || explain_pip
touch "$venv/.ready"
