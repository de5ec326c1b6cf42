"""The registry of methods: `conf/method/<name>.yaml`, one file each.

A method is a row of the paper's Table 2, or another way to make attention maps. The registry says
what makes its maps, how tables and pictures call it, its colour, and the paper's number. The
pipeline, tables, curves, figures and the page read it, so a new method is one new file.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from omegaconf import OmegaConf

from oaa_pl.errors import ConfigError
from oaa_pl.files.installed import root_of

__all__ = ["Method", "MethodSource", "method_of", "methods", "read_methods_from"]

MethodSource = Literal["classifier", "store", "integral", "tags", "masks"]
"""What makes the maps: the classifier itself, a store that its training feeds, an integral model,
or nothing but the tags. Of true masks there are no maps: they are the labels themselves."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to make attention maps.

    Attributes:
        name: in folders, results and on the command line.
        title: in tables.
        short: above pictures.
        source: what makes its maps.
        loss: option of `conf/loss` that trains its integral model; None for other sources.
        attention: dotted path of the function that makes attention of the model's score maps; None
            for the run's own.
        labels: what segmenters learn from: "proxy" labels, or "hard" ones, the plain arg-max.
        figure: name in the paper's figures; None if it is not shown there.
        row: its row of the method table; None if it is shown only where it was measured.
        paper: the paper's segmentation mIoU on VOC val, in percent; None if it has none.
        replaces: the method that it stands for in the paper's effects, where that was not measured.
        control: whether it is a control, never marked as the best of a table.
        ablation: whether it is one of a loss: pictures show its maps in the paper's Figure 5 only.
        light: colour on a light page, `#rrggbb`; None for that of text.
        dark: the same on a dark page.
        dash: dashes of its curve, as SVG has them; None for a solid line.
        width: of its curve, in pixels.
    """

    name: str
    title: str
    short: str
    source: MethodSource
    loss: str | None = None
    attention: str | None = None
    labels: Literal["proxy", "hard"] = "proxy"
    figure: str | None = None
    row: int | None = None
    paper: float | None = None
    replaces: str | None = None
    control: bool = False
    ablation: bool = False
    light: str | None = None
    dark: str | None = None
    dash: str | None = None
    width: float = 2.2


_folders: list[Path] = []  # of the user, read before our own


def methods() -> Mapping[str, Method]:
    """Every method by its name: the rows of the method table in order, then the others by name.

    Raises:
        ConfigError: if a file of the registry is not a method.
    """
    return _read((*_folders, root_of("conf") / "method"))


def method_of(name: str) -> Method:
    """A method by its name.

    Raises:
        ConfigError: if there is no such method.
    """
    known = methods()
    if name not in known:
        raise ConfigError(f"method must be one of {', '.join(known)}, got {name!r}")
    return known[name]


def read_methods_from(folders: Iterable[Path]) -> None:
    """Read methods of the user's own as well.

    Args:
        folders: each holds `<name>.yaml` files. A later call forgets the folders of an earlier one.
    """
    _folders[:] = [folder for folder in folders if folder.is_dir()]


@cache
def _read(folders: tuple[Path, ...]) -> Mapping[str, Method]:
    found: dict[str, Method] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            method = _method(path)
            found.setdefault(method.name, method)
    last = 1 + max((one.row or 0 for one in found.values()), default=0)
    ordered = sorted(found.values(), key=lambda one: (one.row or last, one.name))
    return {one.name: one for one in ordered}


# What a value must look like: names are part of folders and of the page's style sheet.
_FORMS = {
    "name": r"[a-z][a-z0-9_]*",
    "light": r"#[0-9a-fA-F]{6}",
    "dark": r"#[0-9a-fA-F]{6}",
    "dash": r"[0-9.]+( [0-9.]+)*",
    "source": "|".join(get_args(MethodSource)),
    "attention": r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+",
    "labels": "proxy|hard",
    "row": r"[1-9][0-9]*",
    "paper": r"[0-9]+(\.[0-9]+)?",
    "width": r"[0-9]+(\.[0-9]+)?",
}


def _method(path: Path) -> Method:
    known = {one.name: one for one in fields(Method)}
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # YAML's own errors have no builtin among their parents
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ConfigError(f"{path} is not a method: {reason}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a method: expected a mapping, got {values!r}")
    if wrong := sorted({*map(str, values)} - {*known}):
        raise ConfigError(f"{path}: a method has no {wrong[0]!r}; it has {', '.join(known)}")
    needed = [name for name, one in known.items() if one.default is MISSING]
    if lacking := [name for name in needed if values.get(name) is None]:
        raise ConfigError(f"{path}: a method needs {', '.join(lacking)}")
    for name, form in _FORMS.items():
        value = values.get(name)
        if value is not None and not re.fullmatch(form, str(value)):
            raise ConfigError(f"{path}: {name} must be like {form}, got {value!r}")
    if values["name"] != path.stem:
        raise ConfigError(f"{path}: name must be that of the file, got {values['name']!r}")
    if (values["source"] == "integral") != bool(values.get("loss")):
        raise ConfigError(
            f"{path}: a method of source integral needs a loss, the others have none; got "
            f"source {values['source']}, loss {values.get('loss')}"
        )
    return Method(**{str(name): value for name, value in values.items()})
