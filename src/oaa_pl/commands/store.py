"""`oaa store`: what a store of attention maps holds, whether it is sound, and moving it about."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from oaa_pl.callbacks.progress import bar
from oaa_pl.commands import build
from oaa_pl.commands.compose import run_job
from oaa_pl.commands.repair import repair
from oaa_pl.errors import ConfigError, StoreError
from oaa_pl.store.damage import examine
from oaa_pl.store.exchange import FORMATS, export_maps, import_maps
from oaa_pl.store.generation import committed
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, Header, Pairs
from oaa_pl.store.merge import merge_stores
from oaa_pl.store.reader import StoreReader, read_identity

__all__ = ["ACTIONS", "run_words"]


def run_words(words: Sequence[str]) -> None:
    """Run one action: `ACTION PATH [PATH ...] [KEY=VALUE ...]`.

    Raises:
        ConfigError: if the action, the number of paths or an option is not known.
    """
    action = words[0] if words else ""
    if action not in ACTIONS:
        raise ConfigError(f"action must be one of {', '.join(ACTIONS)}, got {action or 'none'!r}")
    paths = [Path(word) for word in words[1:] if "=" not in word]
    options = [word for word in words[1:] if "=" in word]
    ACTIONS[action](paths, options)


def show_info(paths: Sequence[Path], options: Sequence[str]) -> None:
    """What a store holds: its rule, its data set, its generations, how far its maps are."""
    (path,) = _counted(paths, "PATH")
    number = _number(_chosen(options, generation=""), "generation")
    header, pairs = read_identity(path)
    say(f"{path}: {len(pairs.ids)} images, {len(pairs.classes)} classes, {len(pairs.pairs)} maps")
    say(
        f"  fusion {header.fusion}, gate {header.gate}, normalisation {header.normalisation}, "
        f"from epoch {header.first_epoch}, grid {header.grid[0]} x {header.grid[1]}"
    )
    say(f"  data set {header.fingerprint[:16]}, generations {committed(path)}")
    if not committed(path) and number is None:
        return
    store = StoreReader(path, number)
    origin, updates = store.rows["origin"], store.rows["updates"]
    size = store.state.nbytes / 2**20
    say(
        f"  generation {store.generation}: {size:.1f} MiB; accepted "
        f"{(origin == ORIGIN_ACCEPTED).sum()}, fallback {(origin == ORIGIN_FALLBACK).sum()}, "
        f"missing {len(store.missing())}; {updates.sum()} updates"
    )


def verify(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Compare every byte with its checksum; name each damaged row.

    Raises:
        StoreError: if anything is damaged.
    """
    (path,) = _counted(paths, "PATH")
    number = _number(_chosen(options, generation=""), "generation")
    header, pairs = read_identity(path)
    bad = []
    for generation in committed(path) if number is None else [number]:
        found = examine(path, generation, header, len(pairs.pairs))
        say(f"{path}, generation {generation}: {'damaged' if found.problems else 'sound'}")
        for problem in found.problems:
            say(f"  {problem}")
        for row in found.damaged:
            say(f"  row {row}: {_row_name(pairs, row)}")
        if found.problems:
            bad.append(f"generation {generation} in {len(found.damaged)} of {len(found.rows)} rows")
    if bad:
        raise StoreError(
            f"{path} is damaged: {', '.join(bad)}; 'oaa store repair {path}' recomputes the rows "
            "of the newest"
        )


def merge(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Merge the stores of several machines into a new one."""
    into, *parts = _counted(paths, "INTO PART PART", more=True)
    _chosen(options)
    generation = merge_stores(into, parts)
    say(f"{into}: generation {generation}, merged from {len(parts)} stores")


def export(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Write every map to a file of its own, for other people's code."""
    path, folder = _counted(paths, "PATH FOLDER")
    chosen = _chosen(options, generation="", format=FORMATS[0])
    store = StoreReader(path, _number(chosen, "generation"))
    with bar(len(store.pairs.ids), "export") as progress:
        count = export_maps(store, folder, chosen["format"], progress.update)
    say(f"{folder}: {count} maps of generation {store.generation}; {len(store.missing())} missing")


def take_in(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Make a store of maps in files of their own.

    Their data set is told by the export's own list, or, for other people's maps, by the
    configuration.
    """
    folder, path = _counted(paths, "FOLDER PATH")
    if (folder / "header.json").is_file():
        _chosen(options)
        _take_in(folder, path, *read_identity(folder))
        return

    def of_other_code(cfg: DictConfig) -> None:
        pairs = build.pairs_of(build.sources(cfg)[0])
        grid = tuple(cfg.store.grid)
        header = Header(pairs.classes, pairs.fingerprint, grid, "maximum", normalisation="unknown")
        _take_in(folder, path, header, pairs)

    run_job(of_other_code, options)


def _take_in(folder: Path, path: Path, header: Header, pairs: Pairs) -> None:
    with bar(len(pairs.ids), "import") as progress:
        count = import_maps(folder, path, header, pairs, progress.update)
    say(f"{path}: {count} maps; {len(pairs.pairs) - count} pairs have none")


def mend(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Recompute the damaged rows of a store's newest generation, and only those."""
    (path,) = _counted(paths, "PATH")
    chosen = _chosen(options, checkpoint="")
    rows = repair(path, Path(chosen["checkpoint"]) if chosen["checkpoint"] else None)
    _, pairs = read_identity(path)
    for row in rows:
        say(f"  row {row}: {_row_name(pairs, row)}")
    say(f"{path}: {len(rows)} rows recomputed; newest generation {committed(path)[-1]}")


ACTIONS: dict[str, Callable[[Sequence[Path], Sequence[str]], None]] = {
    "info": show_info,
    "verify": verify,
    "repair": mend,
    "merge": merge,
    "export": export,
    "import": take_in,
}


def say(line: str) -> None:
    """A line of the answer."""
    sys.stdout.write(line + "\n")


def _row_name(pairs: Pairs, row: int) -> str:
    image, category = pairs.pairs[row]
    return f"image {pairs.ids[image]!r}, class {pairs.classes[category]!r}"


def _counted(paths: Sequence[Path], usage: str, more: bool = False) -> Sequence[Path]:
    wanted = len(usage.split())
    if len(paths) < wanted or (len(paths) > wanted and not more):
        raise ConfigError(f"paths must be {usage}, got {' '.join(map(str, paths)) or 'none'}")
    return paths


def _chosen(options: Sequence[str], **known: str) -> dict[str, str]:
    """The options that were given, over those that are known."""
    given = dict(option.split("=", 1) for option in options)
    for key in given:
        if key not in known:
            expected = ", ".join(f"{name}=..." for name in known) or "none here"
            raise ConfigError(f"option {key!r} is not known; options are {expected}")
    return {**known, **given}


def _number(chosen: dict[str, str], key: str) -> int | None:
    text = chosen[key]
    if not text:
        return None
    if not text.isdecimal():
        raise ConfigError(f"{key} must be a whole number, got {text!r}")
    return int(text)
