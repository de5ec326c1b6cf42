"""The configuration that a stage's folder records. The author of the folder may be unknown."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from oaa_pl.config.compose import overridden
from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.files.installed import root_of
from oaa_pl.files.json_text import parse_json
from oaa_pl.modules.targets import require_known_targets
from oaa_pl.names import class_fault
from oaa_pl.runs.renamed import today

__all__ = ["recorded_classes", "recorded_config", "require_known"]


def recorded_config(made: Path, *parts: str, allow: Sequence[str] = ()) -> DictConfig:
    """The configuration that a stage's folder records beside what the stage made.

    Args:
        made: the stage's checkpoint or store.
        parts: keys of the parts that will be instantiated; they may call our parts only.
        allow: other packages or modules whose parts they may call as well.

    Raises:
        MissingInputError: if it is missing.
        ConfigError: if it is not a configuration, lacks a part, or names other parts than ours.
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
        raise ConfigError(f"{recorded} is not a run's configuration but a list; restore it")
    cfg = OmegaConf.create(today(OmegaConf.to_container(cfg)))
    # An older package's record lacks newer keys; these get their defaults.
    defaults_today = OmegaConf.load(root_of("conf") / "config.yaml")
    defaults = {
        "loader": OmegaConf.select(defaults_today, "loader"),
        "integral": {"attention": OmegaConf.select(cfg, "attention")},
    }
    cfg = overridden(OmegaConf.create(defaults), cfg)
    for part in parts:
        node = OmegaConf.select(cfg, part)
        if not OmegaConf.is_config(node):
            raise ConfigError(f"{recorded} is not a run's configuration: no {part!r}; restore it")
        require_known(node, recorded, allow)
    return cfg


def recorded_classes(folder: Path) -> tuple[str, ...]:
    """Names of the foreground classes that a stage was trained on.

    Raises:
        MissingInputError: if the stage's record is missing or has none.
    """
    path = folder / "stage.json"
    try:
        classes = tuple(map(str, parse_json(path.read_text(encoding="utf-8"))["classes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingInputError(f"{path} does not name the classes ({error!r})") from error
    if fault := class_fault(classes):
        raise MissingInputError(f"{path} does not name the classes: {fault}")
    return classes


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
    require_known_targets(plain, recorded, allow)
