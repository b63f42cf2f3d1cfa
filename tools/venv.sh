#!/bin/sh
# Makes a virtual environment and installs this project into it, or says in one line what is missing.
# Usage: tools/venv.sh DIRECTORY [EXTRAS]        e.g. tools/venv.sh .venv dev
# PYTHON=/path/to/python3 chooses the interpreter.
set -u
venv=$1
extras=${2:+[$2]}

say() { printf '%s\n' "netstack: $*" >&2; }
fail() { say "$*"; exit 1; }
at_least_311() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# The distribution's own python3 comes first: its headers and venv module are the likeliest to be there.
find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if at_least_311 "$name"; then
            command -v "$name"
            return
        fi
    done
    if [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON is not a Python 3.11 or newer."
    fi
    found=$(python3 --version 2>/dev/null || echo none)
    fail "Python 3.11 or newer is needed, found: $found. Debian, Ubuntu: apt install python3 python3-venv python3-dev gcc"
}

if ! at_least_311 "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python) || exit 1
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module. Debian, Ubuntu: apt install python3-venv"
    say "making $venv with $("$python" --version)"
    rm -rf "$venv"
    output=$("$python" -m venv "$venv" 2>&1) || fail "$python -m venv $venv failed: $(echo "$output" | tail -n 1)"
fi

# No pip upgrade, no activation: the pip that came with the Python is enough for an editable install.
say "installing the project and what it needs${2:+ for $2} (pip's words are in $venv/install.log)"
"$venv/bin/python" -m pip install --disable-pip-version-check -e ".$extras" >"$venv/install.log" 2>&1 && exit 0

# pip's own report is long. The usual reasons fit in a line each; python-pytun is the one package that is compiled here.
if ! command -v "${CC:-cc}" >/dev/null && ! command -v gcc >/dev/null; then
    fail "python-pytun is built from source and there is no C compiler. Debian, Ubuntu: apt install gcc libc6-dev python3-dev"
fi
headers=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
if [ ! -e "$headers/Python.h" ]; then
    fail "python-pytun is built from source and $headers/Python.h is missing. Debian, Ubuntu: apt install python3-dev"
fi
if ! echo '#include <linux/if_tun.h>' | "${CC:-cc}" -E - >/dev/null 2>&1; then
    fail "python-pytun is built from source and the C library's headers are missing. Debian, Ubuntu: apt install libc6-dev"
fi
if grep -qi 'NewConnectionError\|NameResolution\|ConnectTimeout\|Network is unreachable\|from versions: none' "$venv/install.log"; then
    fail "the package index cannot be reached: check the network or pip's proxy settings, then again"
fi
fail "pip could not install: $(grep -i '^ *error' "$venv/install.log" | tail -n 1); the whole story is in $venv/install.log"
