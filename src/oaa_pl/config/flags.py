"""Hydra's own flags on the command line, separated from the overrides, `KEY=VALUE`."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from oaa_pl.errors import ConfigError
from oaa_pl.files.home import expanded

__all__ = ["require_own_places", "split"]

_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")

# Every name of a flag -> the values that it takes: none, some words, or any word.
_ANY: tuple[str, ...] = ()
_VALUES: dict[str, tuple[str, ...] | None] = {
    "--multirun": None, "-m": None,
    "--run": None, "-r": None,
    "--resolve": None,
    "--hydra-help": None,
    "--shell-completion": None, "-sc": None,
    "--cfg": ("job", "hydra", "all"), "-c": ("job", "hydra", "all"),
    "--info": _INFO, "-i": _INFO,
    "--package": _ANY, "-p": _ANY,
    "--config-dir": _ANY, "-cd": _ANY,
    "--config-name": _ANY, "-cn": _ANY,
}  # fmt: skip

# Hydra has these as well. Here they would replace or bypass the configuration of the package.
_REFUSED = {
    "--config-path": "add a folder of your own with --config-dir FOLDER",
    "-cp": "add a folder of your own with --config-dir FOLDER",
    "--experimental-rerun": "run the same command again: it continues where it stopped",
}
_WHAT_TO_DO = (
    "--run", "-r", "--multirun", "-m", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc",
)  # fmt: skip
_FOLDER = ("--config-dir", "-cd")


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their values, and the other words, each in their order.

    Args:
        words: of a command line, after the command's name.

    Raises:
        ConfigError: if a flag is not known, lacks its value or takes another, or the folder of
            `--config-dir` is not one.

    Examples:
        >>> split(["seed=0", "--cfg", "job"])
        (['--cfg', 'job'], ['seed=0'])
    """
    flags, others = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            others.append(word)
            continue
        name, equals, value = word.partition("=")
        if name in _REFUSED:
            raise ConfigError(f"option {name} is not supported; {_REFUSED[name]}")
        if name not in _VALUES:
            raise ConfigError(f"unknown option {word!r}; values are given as KEY=VALUE, no dashes")
        known = _VALUES[name]
        flags.append(name)
        if known is None:
            if equals:
                raise ConfigError(f"option {name} takes no value, got {value!r}")
            continue
        if not equals:
            if known == _INFO and (not rest or rest[0] not in _INFO):
                flags.append("all")  # Hydra would take the first override for its value
                continue
            value = rest.pop(0) if rest and not rest[0].startswith("-") else ""
        if not value or (known and value not in known):
            expected = "one of " + ", ".join(known) if known else "a value"
            raise ConfigError(f"option {name} needs {expected}, got {value or 'nothing'!r}")
        flags.append(_folder(name, value) if name in _FOLDER else value)
    _require_compatible(flags)
    return flags, others


def _require_compatible(flags: Sequence[str]) -> None:
    asked = [flag for flag in flags if flag in _WHAT_TO_DO]
    if len(asked) > 1:
        raise ConfigError(f"options {' and '.join(asked)} exclude each other; give one of them")
    if "--resolve" in flags and not {"--cfg", "-c"} & {*flags}:
        raise ConfigError("option --resolve belongs to --cfg; say --cfg job --resolve")


def _folder(name: str, value: str) -> str:
    path = Path(expanded(value))
    if not path.is_dir():
        raise ConfigError(f"option {name}: {path} is not a folder; give the one with your YAML")
    return os.fspath(path.resolve())


def require_own_places(flags: Sequence[str], ours: Path) -> None:
    """Refuse a file below `--config-dir` that Hydra would silently ignore.

    Hydra searches the package's configuration first.

    Args:
        flags: as `split` returns them.
        ours: the folder of the package's configuration.

    Raises:
        ConfigError: with the file, if the package has one in the same place.
    """
    for flag, value in itertools.pairwise(flags):
        if flag not in _FOLDER or Path(value) == ours:
            continue
        for file in sorted(Path(value).rglob("*.yaml")):
            place = file.relative_to(value)
            if (ours / place).is_file():
                raise ConfigError(
                    f"{file} would never be read, since the package has its own {place}; give it "
                    "another name"
                )
