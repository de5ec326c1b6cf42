"""Which code ran: commit, versions and command line, for a stage's record."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

from oaa_pl import __version__
from oaa_pl.files.installed import root_of

__all__ = ["provenance"]

_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "albumentations", "numpy")


def provenance() -> dict[str, Any]:
    """Commit, versions and command line of this process."""
    versions = {"oaa_pl": __version__, "python": sys.version.split()[0]}
    versions |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    command = " ".join(["oaa", *sys.argv[1:]])
    return {"commit": _commit(), "versions": versions, "command": command}


def _commit() -> str:
    """The checkout's commit, marked if it has changes; `release` outside a checkout."""
    checkout = root_of("conf").parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(checkout), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != checkout:
            return f"release {__version__}"
        changes = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return f"release {__version__}"
