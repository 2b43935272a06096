#!/usr/bin/env bash
# Runs the stages of `make check` or `make test`, all of them, whatever fails, and says at the end how each of them ended.
#     tools/stages.sh check|test
# With TARGETS=0, the stages that need the official image's environment (5 GB) are left out.
set -uo pipefail
shopt -s extglob
cd "$(dirname "$0")/.."

bin=.venv/bin
pytest="$bin/python -m pytest"
[ -t 1 ] && pytest+=" --color=yes"
# two at a time, for most of them wait for processes more than they compute; those of a file stay together
two_at_a_time="-n 2 --dist loadfile"
export PYTHONUNBUFFERED=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
results=()
failed=0

# stage NAME COMMAND...: runs it, and keeps how it ended with the lines that pytest closes with; fails as it does
stage() {
    local name=$1 result=passed began=$SECONDS
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log" || { result=FAILED && failed=1; }
    results+=("$(printf '%-8s %s (%d s)' "$result" "$name" $((SECONDS - began)))$(closing_lines)")
    [ $result = passed ]
}

# tests NAME COMMAND...: a stage of pytest, whose few failures get a second try, alone: a machine that is busy with other
# work stops a process for seconds. What passes only then is named in the summary, to be mended.
tests() {
    local before=$failed fails count argument again=()
    stage "$@" && return
    shift
    # each cell of a notebook needs those before it: a notebook fails, and is tried again, as a whole
    fails=$(plain_log | sed -nE '/^(FAILED|ERROR) [^ ]/{s/^[A-Z]+ //;s/\.ipynb.*/.ipynb/;p;}' | sort -u)
    count=$(grep -c . <<<"$fails")
    for argument; do
        [[ $argument != *.ipynb ]] || grep -qxF "$argument" <<<"$fails" && again+=("$argument")
    done
    [[ $* == *.ipynb ]] || again+=(--last-failed --last-failed-no-failures none)
    if [ "$count" -ge 1 ] && [ "$count" -le 3 ]; then
        failed=$before
        stage "second try, alone, of the $count above" "${again[@]}" -n 0
    fi
}

plain_log() {
    sed $'s/\x1b\\[[0-9;]*m//g' "$log"
}

closing_lines() {
    plain_log | grep -E '^(FAILED|ERROR) [^ ]|^=+ .* in [0-9.]+s.* =+$' | while read -r line; do printf '\n%s' "$line"; done
}

left_out() {
    results+=("$(printf '%-8s %s' 'left out' "$1")")
}

check_stages() {
    stage "lint: ruff check" $bin/ruff check
    stage "format: ruff format --check" $bin/ruff format --check
    # without --exclude, a tensor's .long() is taken for Python 2's
    stage "Python 3.9 of what is archived: vermin" $bin/vermin --target=3.9- --violations --no-tips --exclude long \
        handlerkit/handlers notebooks/models/!(train_*|coins_data).py
    stage "types: mypy --strict" $bin/mypy
    stage "layers: lint-imports" $bin/lint-imports --no-logo
}

test_stages() {
    check_stages
    tests "unit tests, and what is in the wheel" $pytest $two_at_a_time -m "not server and not browser and not target"
    tests "tests on a real TorchServe" $pytest $two_at_a_time -m "server and not browser and not target"
    tests "tests in a browser" $pytest -m "browser and not target"
    if [ "${TARGETS:-1}" = 0 ]; then
        left_out "tests on the official image's packages (TARGETS=0)"
    else
        stage "the official image's packages (5 GB, once)" $bin/handlerkit targets --build torchserve-0.12.0-cpu
        tests "tests on the official image's packages" $pytest $two_at_a_time -m target
    fi
    stage "the documentation: sphinx" $bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
    local nbval="$pytest --nbval --nbval-sanitize-with notebooks/sanitize.cfg"
    local notebooks="the notebooks against their saved outputs"
    # each Python has tracebacks and phrases of HTTP of its own: on another than theirs, the cells have to run
    if [ "$($bin/python -c 'import sys; print(*sys.version_info[:2])')" != "3 11" ]; then
        nbval="$pytest --nbval-lax"
        notebooks="the notebooks run (their outputs are Python 3.11's)"
    fi
    tests "$notebooks" $nbval $two_at_a_time notebooks/!(04_*).ipynb
    # it installs a package into .venv for a while, and the target `declared` is what is installed there
    tests "the notebook that installs a package" $nbval notebooks/04_*.ipynb
}

"$1_stages"
echo "== summary"
printf '%s\n' "${results[@]}"
exit $failed
