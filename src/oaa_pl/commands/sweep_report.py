"""`oaa report FOLDER`: what a sweep found, from the results of all its jobs."""

import logging
from collections.abc import Sequence
from pathlib import Path

from oaa_pl.errors import ConfigError
from oaa_pl.files.home import expanded_path
from oaa_pl.report.results import collect
from oaa_pl.report.sweep_table import lines_of, sweep_csv, sweep_markdown
from oaa_pl.runs.record import write_text

__all__ = ["names_folder", "run_words"]

log = logging.getLogger(__name__)


def names_folder(words: Sequence[str]) -> bool:
    """Whether the words of `oaa report` are folders, not values of the configuration."""
    return bool(words) and not any("=" in one or one.startswith(("-", "~", "+")) for one in words)


def run_words(words: Sequence[str]) -> None:
    """Write mean, deviation and paired differences of all jobs below a folder.

    Args:
        words: the folder, such as `runs/synthetic`.

    Raises:
        ConfigError: if it is not one folder.
        MissingInputError: if nothing below it was scored.
    """
    if len(words) > 1:
        raise ConfigError(
            f"oaa report takes the folder of one sweep, got {len(words)}; to look at two runs side "
            f"by side, give the values of the first one and report.beside={words[1]}"
        )
    folder = expanded_path(words[0])
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; give the one of a sweep: <runs>/<name>")
    for empty in _without_stage(folder):
        log.warning("skipped: %s has no finished stage", empty)
    lines = lines_of(collect(folder))
    text = sweep_markdown(lines)
    write_text(folder / "sweep.csv", sweep_csv(lines))
    write_text(folder / "sweep.md", text)
    log.info("%s", text)
    log.info("%s: written", folder / "sweep.md")
    log.info("%s: written", folder / "sweep.csv")


def _without_stage(folder: Path) -> list[Path]:
    """Folders of a seed in which nothing is finished."""
    seeds = sorted(path for path in folder.rglob("seed-*") if path.is_dir())
    return [seed for seed in seeds if next(seed.rglob("done.json"), None) is None]
