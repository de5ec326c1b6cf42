"""The configuration that a stage's folder records, which may come from a stranger."""

import json
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from oaa_pl.config.compose import overridden, root_of
from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.runs.renamed import today

__all__ = ["recorded_classes", "recorded_config", "require_known"]

# What a recorded configuration may call: its folder may come from a stranger. Networks of other
# packages may be called once whoever runs the command names these: `allow_targets`.
_KNOWN = (
    "oaa_pl.nets.", "oaa_pl.data.", "oaa_pl.attention.", "oaa_pl.proxy.crf.", "torch.nn.",
    "albumentations.",
)  # fmt: skip


def recorded_config(made: Path, *parts: str, allow: Sequence[str] = ()) -> DictConfig:
    """The configuration that a stage's folder records beside what the stage made.

    Args:
        made: the stage's checkpoint or store.
        parts: keys of the parts that will be instantiated; they may call our parts only.
        allow: other packages or modules whose parts they may call as well.

    Raises:
        MissingInputError: if there is none.
        ConfigError: if it is none, lacks a part, or asks for something else than our parts.
    """
    recorded = made.parent / "config.yaml"
    if not recorded.is_file():
        raise MissingInputError(f"{recorded} is missing; it belongs beside {made.name}")
    try:
        cfg = OmegaConf.load(recorded)
    except Exception as error:  # YAML's own errors have no builtin among their parents
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ConfigError(f"{recorded} cannot be read ({reason}); restore it") from error
    if not isinstance(cfg, DictConfig):
        raise ConfigError(f"{recorded} is no run's configuration but a list; restore it")
    cfg = OmegaConf.create(today(OmegaConf.to_container(cfg)))
    # An older package's record lacks what has come since; that takes its default.
    defaults_today = OmegaConf.load(root_of("conf") / "config.yaml")
    defaults = {
        "loader": OmegaConf.select(defaults_today, "loader"),
        "integral": {"attention": OmegaConf.select(cfg, "attention")},
    }
    cfg = overridden(OmegaConf.create(defaults), cfg)
    for part in parts:
        node = OmegaConf.select(cfg, part)
        if not OmegaConf.is_config(node):
            raise ConfigError(f"{recorded} is no run's configuration: no {part!r}; restore it")
        require_known(node, recorded, allow)
    return cfg


def recorded_classes(folder: Path) -> tuple[str, ...]:
    """Names of the foreground classes that a stage was trained on.

    Raises:
        MissingInputError: if the stage's record is missing or has none.
    """
    path = folder / "stage.json"
    try:
        return tuple(map(str, json.loads(path.read_text(encoding="utf-8"))["classes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingInputError(f"{path} does not name the classes ({error!r})") from error


def require_known(node: DictConfig, recorded: Path, allow: Sequence[str] = ()) -> None:
    """Refuse a part of a recorded configuration that calls other code than ours.

    Args:
        node: the part, which is going to be instantiated.
        recorded: the file that it is from, for the message.
        allow: other packages or modules whose parts it may call as well.

    Raises:
        ConfigError: if it does, or `allow` names no module that may hold a network.
    """
    plain = OmegaConf.to_container(node, resolve=True)
    _require_known_targets(plain, recorded, (*_KNOWN, *_allowed(allow)))


def _allowed(modules: Sequence[str]) -> list[str]:
    """Modules of `allow_targets` as beginnings of dotted names.

    Raises:
        ConfigError: if one is no module's name, or of Python's own library, which has no networks.
    """
    for module in modules:
        parts = str(module).split(".")
        if not all(part.isidentifier() for part in parts) or parts[0] in sys.stdlib_module_names:
            raise ConfigError(
                f"allow_targets must list modules that hold networks, such as [mynet,timm], got "
                f"{module!r}"
            )
    return [f"{module}." for module in modules]


def _require_known_targets(node: object, recorded: Path, known: tuple[str, ...]) -> None:
    if isinstance(node, dict):
        if "_target_" in node and not _is_known(str(node["_target_"]), known):
            raise ConfigError(_refusal(str(node["_target_"]), recorded, known))
        for value in node.values():
            _require_known_targets(value, recorded, known)
    elif isinstance(node, list):
        for value in node:
            _require_known_targets(value, recorded, known)


def _is_known(target: str, known: tuple[str, ...]) -> bool:
    """Whether a dotted name leads to a known part, and not through one to what it imports."""
    if not target.startswith(known):
        return False
    try:
        home = getattr(pkgutil.resolve_name(target), "__module__", None)
    except Exception:  # importing a name that is none raises what it likes
        return False
    return f"{home}.".startswith(known)


def _refusal(target: str, recorded: Path, known: tuple[str, ...]) -> str:
    """Why a name may not be called, and what to do."""
    module = target.partition(".")[0]
    if not target.startswith(known):
        advice = f"; if you trust it and know that code, say allow_targets=[{module}]"
        importable = "." in target and module not in sys.stdlib_module_names
        ours = module in ("oaa_pl", "torch", "albumentations")
        return (
            f"{recorded} asks to call {target!r}, which is no part of ours"
            f"{advice if importable and not ours else ''}"
        )
    try:
        pkgutil.resolve_name(target)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return (
            f"{recorded} needs {target!r}, which cannot be imported ({reason}); install it, or put "
            "its folder on PYTHONPATH"
        )
    return f"{recorded} asks to call {target!r}, which is no part of ours: it leads out of {module}"
