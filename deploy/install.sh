#!/bin/sh
# Creates .venv from the lock file. Called by `make install`; safe to call again.
set -eu

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Debian keeps venv in a package of its own.
can_make_venv() {
    python=$(find_python) && "$python" -c 'import ensurepip, venv' >/dev/null 2>&1
}

if ! can_make_venv; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing python3-venv ..."
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
    fi
    can_make_venv || {
        echo "Python 3.11 or newer with venv is needed. Run: sudo apt-get install python3 python3-venv" >&2
        exit 1
    }
fi

python=$(find_python)
[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "Installing the packages of requirements.lock ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
