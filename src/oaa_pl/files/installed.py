"""Folders that are installed with the package: `conf` and `experiments`."""

from pathlib import Path

from oaa_pl.errors import ConfigError

__all__ = ["root_of"]


def root_of(folder: str) -> Path:
    """Where `conf` or `experiments` is: inside the installed package, or beside `src`.

    Args:
        folder: "conf" or "experiments".

    Raises:
        ConfigError: if it is in neither place: the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for parent in (package, package.parents[1]):
        if (parent / folder).is_dir():
            return parent / folder
    raise ConfigError(f"the installation of oaa_pl has no folder {folder!r}; install it again")
