"""Which code a recorded configuration or a checkpoint may call: its author may be unknown."""

import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from oaa_pl.errors import ConfigError

__all__ = ["TRAINING", "require_known_targets"]

# Networks of other packages may be called once the user names these packages: `allow_targets`.
_KNOWN = (
    "oaa_pl.nets.", "oaa_pl.data.", "oaa_pl.attention.", "oaa_pl.proxy.crf.", "torch.nn.",
    "albumentations.",
)  # fmt: skip

TRAINING = ("oaa_pl.losses", "oaa_pl.modules.optim", "torch.optim")
"""What the recipe of a LightningModule calls beside networks."""


def require_known_targets(node: object, recorded: Path | str, allow: Sequence[str] = ()) -> None:
    """Refuse plain nodes that call other code than ours.

    Args:
        node: mappings, lists and plain values that are going to be instantiated.
        recorded: where they are from, for the error.
        allow: other packages or modules that they may also call.

    Raises:
        ConfigError: if they do, or `allow` names no module that may hold a network.
    """
    _require_known_targets(node, recorded, (*_KNOWN, *_allowed(allow)))


def _allowed(modules: Sequence[str]) -> list[str]:
    """Modules of `allow_targets` as beginnings of dotted names.

    Raises:
        ConfigError: if one is not a module's name, or is in Python's own library.
    """
    for module in modules:
        parts = str(module).split(".")
        if not all(part.isidentifier() for part in parts) or parts[0] in sys.stdlib_module_names:
            raise ConfigError(
                f"allow_targets must list modules that hold networks, such as [mynet,timm], got "
                f"{module!r}"
            )
    return [f"{module}." for module in modules]


def _require_known_targets(node: object, recorded: Path | str, known: tuple[str, ...]) -> None:
    if isinstance(node, dict):
        if "_target_" in node and not _is_known(str(node["_target_"]), known):
            raise ConfigError(_refusal(str(node["_target_"]), recorded, known))
        for value in node.values():
            _require_known_targets(value, recorded, known)
    elif isinstance(node, list):
        for value in node:
            _require_known_targets(value, recorded, known)


def _is_known(target: str, known: tuple[str, ...]) -> bool:
    """Whether a dotted name is a known part itself, not something that a known part imports."""
    if not target.startswith(known):
        return False
    try:
        home = getattr(pkgutil.resolve_name(target), "__module__", None)
    except Exception:  # importing a name that does not exist may raise anything
        return False
    return f"{home}.".startswith(known)


def _refusal(target: str, recorded: Path | str, known: tuple[str, ...]) -> str:
    """Why a name may not be called, and what to do."""
    module = target.partition(".")[0]
    if not target.startswith(known):
        advice = f"; if you trust it and know that code, say allow_targets=[{module}]"
        importable = "." in target and module not in sys.stdlib_module_names
        ours = module in ("oaa_pl", "torch", "albumentations")
        return (
            f"{recorded} asks to call {target!r}, which is not a part of ours"
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
    return (
        f"{recorded} asks to call {target!r}, which is not a part of ours: it leads out of {module}"
    )
