"""Shell completion: the commands here, and Hydra's own completion for what follows them.

eval "$(oaa -sc install=bash)"      also zsh and fish; `oaa --help` has the lines
"""

import os
import sys
from collections.abc import Sequence

from oaa_pl.commands.manual import COMMANDS, STORE
from oaa_pl.config.job import run_job
from oaa_pl.errors import ConfigError

__all__ = ["FLAGS", "complete"]

FLAGS = ("-sc", "--shell-completion")
_LINE = "COMP_LINE"  # the shells' variable: the line as it has been typed so far


def complete(words: Sequence[str]) -> None:
    """Install or remove the completion of a shell, or answer its query.

    Args:
        words: `install=SHELL`, `uninstall=SHELL` or `query=SHELL`.

    Raises:
        ConfigError: if it is something else.
    """
    asked, _, shell = words[0].partition("=") if len(words) == 1 else ("", "", "")
    if asked not in ("install", "uninstall", "query") or not shell:
        raise ConfigError(
            f"{FLAGS[1]} needs install=, uninstall= or query= with bash, zsh or fish, got "
            f"{' '.join(words) or 'nothing'!r}"
        )
    if asked == "query" and not _after_command():
        return
    typed_as, sys.argv = sys.argv, ["oaa"]  # the name that the shell will complete
    try:
        run_job(lambda _: None, [FLAGS[1], *words])
    finally:
        sys.argv = typed_as


def _after_command() -> bool:
    """Print the commands that may come next; whether Hydra has more to offer.

    Hydra must not see the command, which it would take for an override.
    """
    program, _, rest = os.environ.get(_LINE, "").lstrip().partition(" ")
    begun = [name for name in COMMANDS if f"{rest.lstrip()} ".startswith(f"{name} ")]
    command = max(begun, key=len, default=None)
    if command is None or (rest.strip() == command and not rest.endswith(" ")):
        sys.stdout.write("\n".join({name.partition(" ")[0]: None for name in COMMANDS}) + "\n")
        return False
    behind = rest.lstrip().removeprefix(command)
    for name in COMMANDS:
        if name.startswith(f"{command} "):
            sys.stdout.write(name.removeprefix(f"{command} ") + "\n")
    os.environ[_LINE] = f"{program}{behind}"
    return command != STORE
