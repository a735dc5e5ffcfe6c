"""Installing a server's Debian package, where it is missing and we may do so."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable

__all__ = ["CannotInstall", "install_command", "install_package", "package_account"]

STDERR = 2

# The package must not bring up a server of its own, neither now nor at the next boot.
SCRIPT = """
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\\nexit 101\\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
{command} || {{ apt-get update && {command}; }}
if command -v systemctl >/dev/null; then systemctl disable {service} || :; fi
"""


class CannotInstall(Exception):
    """The package is missing and cannot be installed; the message names the command to run."""


def install_command(package: str) -> str:
    """The command that installs a package."""
    return f"apt-get install -y --no-install-recommends {package}"


def install_package(
    package: str, announce: Callable[[str], None], *, search_path: str | None = None, otherwise: str = ""
) -> None:
    """Install a package whose service stays off.

    `search_path` stands in for PATH; `otherwise` is what else can be done. Raises `CannotInstall`.
    """
    command = install_command(package)
    prefix = _root_prefix(search_path)
    if prefix is None or shutil.which("apt-get", path=search_path) is None:
        raise CannotInstall(
            f"{package} is not installed and we may not install it. Run `sudo {command}`{otherwise or '.'}"
        )
    announce(f"{package} is missing, installing it once: {command}")
    script = SCRIPT.format(command=command, service=package)
    result = subprocess.run([*prefix, "sh", "-c", script], stdout=STDERR, check=False)
    if result.returncode != 0:
        raise CannotInstall(
            f"{package} could not be installed (status {result.returncode}). "
            f"Run `sudo {command}` and see to what it reports."
        )


def package_account(account: str) -> str | None:
    """The package's account, for root only: a server needs no root. None means the caller's own account."""
    if os.geteuid() != 0 or account not in {entry.pw_name for entry in pwd.getpwall()}:
        return None
    # A temporary directory of root's own may be closed to others.
    may_write = ["test", "-w", tempfile.gettempdir()]
    answer = subprocess.run(may_write, user=account, group=account, extra_groups=[], check=False)
    return account if answer.returncode == 0 else None


def _root_prefix(search_path: str | None) -> list[str] | None:
    """What goes before a command that needs root: nothing, sudo, or None where we cannot become root."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo", path=search_path)
    if sudo is None:
        return None
    answer = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)
    return [sudo, "-n"] if answer.returncode == 0 else None
