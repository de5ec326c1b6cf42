"""`oaa store`: look at, check, repair, merge, export and import stores of attention maps."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from oaa_pl.callbacks.progress import bar
from oaa_pl.commands.repair import advice, repair
from oaa_pl.config.job import run_job
from oaa_pl.config.sources import pairs_of
from oaa_pl.data.images import PhotoSizes
from oaa_pl.errors import ConfigError, MissingInputError, StoreError
from oaa_pl.files.home import expanded_path
from oaa_pl.parallel.fan_out import FanOut
from oaa_pl.stages.configured import Configured
from oaa_pl.store.damage import Findings, examine
from oaa_pl.store.exchange import FORMATS, export_maps, import_maps
from oaa_pl.store.generation import committed
from oaa_pl.store.layout import ORIGIN_ACCEPTED, ORIGIN_FALLBACK, Header, Pairs
from oaa_pl.store.merge import merge_stores
from oaa_pl.store.reader import StoreReader, read_identity

__all__ = ["ACTIONS", "run_words"]

# What is before the first `=` is a key, not the beginning of a path: a sweep names folders so.
_OPTION = re.compile(r"[+~]*\w[\w.@]*=")
_PARALLEL = ("parallel.backend", "parallel.workers", "parallel.address")


def run_words(words: Sequence[str]) -> None:
    """Run one action: `ACTION PATH [PATH ...] [KEY=VALUE ...]`.

    Raises:
        ConfigError: if the action, the number of paths or an option is not known.
    """
    action = words[0] if words else ""
    if action not in ACTIONS:
        raise ConfigError(f"action must be one of {', '.join(ACTIONS)}, got {action or 'none'!r}")
    options = [word for word in words[1:] if _OPTION.match(word)]
    paths = [expanded_path(word) for word in words[1:] if not _OPTION.match(word)]
    ACTIONS[action](paths, options)


def show_info(paths: Sequence[Path], options: Sequence[str]) -> None:
    """What a store holds: its rule, its data set, its generations, how far its maps are."""
    (path,) = _counted(paths, "PATH")
    number = _generation(_chosen(options, "generation"))
    header, pairs = read_identity(path)
    say(f"{path}: {len(pairs.ids)} images, {len(pairs.classes)} classes, {pairs.count} maps")
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

    Damage to a generation that nothing reads any more, since a newer one is sound, is reported
    but is not an error.

    Raises:
        StoreError: if there is no generation, or a damaged one is the one given or is still read.
    """
    (path,) = _counted(paths, "PATH")
    asked = _generation(_chosen(options, "generation"))
    header, pairs = read_identity(path)
    known = committed(path)
    if not known:
        raise StoreError(f"{path} has no committed generation, so there is nothing to verify")
    bad: list[Findings] = []
    for generation in known if asked is None else [asked]:
        found = examine(path, generation, header, pairs.count)
        if found.problems and generation not in committed(path):
            continue  # a training dropped it in the meantime
        say(f"{path}, generation {generation}: {'damaged' if found.problems else 'sound'}")
        _say_findings(found, pairs)
        if found.problems:
            bad.append(found)
    if not bad:
        return
    what_to_do = advice(path, [found.generation for found in bad], known[-1])
    if not what_to_do:
        say(f"  nothing reads it any more: the newest generation is {known[-1]}")
    if what_to_do or asked is not None:
        damage = ", ".join(
            f"generation {found.generation} in {len(found.damaged)} of {len(found.rows)} rows"
            for found in bad
        )
        raise StoreError(f"{path} is damaged: {damage}" + (f"; {what_to_do}" if what_to_do else ""))


def merge(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Merge the stores of several machines into a new one."""
    into, *parts = _counted(paths, "INTO PART PART", more=True)
    _chosen(options)
    merge_stores(into, parts)
    say(f"{into}: merged from {len(parts)} stores")


def export(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Write every map to a file of its own, for other code.

    Raises:
        ConfigError: if photos are given for a format that does not need their size.
    """
    path, folder = _counted(paths, "PATH FOLDER")
    chosen = _chosen(options, "generation", "format", "photos", *_PARALLEL)
    kind = chosen.get("format", FORMATS[0])
    if "photos" in chosen and kind != "npy":
        raise ConfigError(f"photos=... gives the size of `high_res` of format=npy, got {kind!r}")
    fan_out = _fan_out(chosen)
    store = StoreReader(path, _generation(chosen))
    sizes = PhotoSizes(expanded_path(chosen["photos"])) if "photos" in chosen else None
    with bar(len(store.pairs.ids), "export") as progress:
        count = export_maps(store, folder, kind, progress.update, sizes, fan_out)
    say(f"{folder}: {count} maps of generation {store.generation}; {len(store.missing())} missing")


def _fan_out(chosen: Mapping[str, str]) -> FanOut:
    """Where an export is made, by the words of the command line."""
    words = [f"{key}={chosen[key]}" for key in _PARALLEL if key in chosen]
    node = OmegaConf.to_container(OmegaConf.from_dotlist(words))
    return FanOut(**node.get("parallel", {}))  # type: ignore[union-attr]  # a mapping


def import_store(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Make a store from maps that are each in a file of its own.

    An export records its data set. For maps of other code, the configuration gives the data set.

    Raises:
        MissingInputError: if the folder of the maps does not exist.
        ConfigError: if the data set is given twice, or not at all.
    """
    folder, path = _counted(paths, "FOLDER PATH")
    if not folder.is_dir():
        raise MissingInputError(f"{folder} is not a folder; give the one that has the maps")
    own = folder / "header.json"
    if own.is_file():
        if options:
            raise ConfigError(f"{own} names the data set; leave out {' '.join(options)}")
        _import(folder, path, *read_identity(folder))
        return
    if not options:
        raise ConfigError(
            f"{folder} has no header.json, so it is not an export; give the data set of its maps: "
            "experiment=..., or data=... and its values"
        )

    def of_other_code(cfg: DictConfig) -> None:
        pairs = pairs_of(Configured(cfg).data.train)
        grid = tuple(cfg.store.grid)
        header = Header(pairs.classes, pairs.fingerprint, grid, "maximum", normalisation="unknown")
        _import(folder, path, header, pairs)

    run_job(of_other_code, options)


def _import(folder: Path, path: Path, header: Header, pairs: Pairs) -> None:
    with bar(len(pairs.ids), "import") as progress:
        count = import_maps(folder, path, header, pairs, progress.update)
    say(f"{path}: {count} maps; {pairs.count - count} pairs have none")


def repair_store(paths: Sequence[Path], options: Sequence[str]) -> None:
    """Recompute the damaged rows of a store's newest generation, and only those."""
    (path,) = _counted(paths, "PATH")
    checkpoint = _chosen(options, "checkpoint").get("checkpoint")
    found = repair(path, expanded_path(checkpoint) if checkpoint is not None else None)
    if not found.problems:
        say(f"{path}: generation {found.generation} is sound, nothing was done")
        return
    say(f"{path}, generation {found.generation}: damaged")
    _, pairs = read_identity(path)
    _say_findings(found, pairs)
    say(f"{path}, generation {committed(path)[-1]}: {len(found.damaged)} rows recomputed")


ACTIONS: dict[str, Callable[[Sequence[Path], Sequence[str]], None]] = {
    "info": show_info,
    "verify": verify,
    "repair": repair_store,
    "merge": merge,
    "export": export,
    "import": import_store,
}


def say(line: str) -> None:
    """A line of the answer."""
    sys.stdout.write(line + "\n")


def _say_findings(found: Findings, pairs: Pairs) -> None:
    for problem in found.problems:
        say(f"  {problem}")
    for row in found.damaged:
        image, category = pairs.pairs[row]
        say(f"  row {row}: image {pairs.ids[image]!r}, class {pairs.classes[category]!r}")


def _counted(paths: Sequence[Path], usage: str, more: bool = False) -> Sequence[Path]:
    wanted = len(usage.split())
    if len(paths) < wanted or (len(paths) > wanted and not more):
        raise ConfigError(f"paths must be {usage}, got {' '.join(map(str, paths)) or 'none'}")
    return paths


def _chosen(options: Sequence[str], *known: str) -> dict[str, str]:
    """The options that were given, all of them known."""
    given = dict(option.split("=", 1) for option in options)
    for key in given:
        if key not in known:
            expected = ", ".join(f"{name}=..." for name in known) or "none here"
            raise ConfigError(
                f"option {key!r} is not known; options are {expected}; a path with '=' in it is "
                f"written ./{key}=..."
            )
    return given


def _generation(chosen: dict[str, str]) -> int | None:
    text = chosen.get("generation")
    if text is not None and not text.isdecimal():
        raise ConfigError(f"generation must be a whole number, got {text!r}")
    return None if text is None else int(text)
