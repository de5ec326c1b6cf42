"""Runs of the package on generated photos, and how many threads they use."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from hydra import compose, initialize_config_dir
from photos import make_photos

from oaa_pl.config.compose import register
from oaa_pl.files.installed import root_of
from oaa_pl.machine import usable_cores
from oaa_pl.stages.pipeline import Pipeline

__all__ = ["LITE", "PHOTOS", "SMALL", "composed", "on_all_cores", "pipeline"]

PHOTOS = 96
SMALL = ("net=small", "data.input_size=96", "classifier.batch_size=16")
LITE = ("net.weights=none", "classifier.batch_size=8")

T = TypeVar("T")


def composed(folder: Path, number: int, *more: str) -> Pipeline:
    """A run of `experiment=photos` on so many photos of a folder, which it makes if necessary."""
    root, tags = folder / f"made-{max(number, PHOTOS)}", folder / f"tags-{number}.csv"
    if not root.exists():
        make_photos(root, max(number, PHOTOS))
    lines = (root / "tags.csv").read_text().splitlines()
    tags.write_text("\n".join(lines[: number + 1]) + "\n")
    return pipeline(
        "experiment=photos", f"data.root={root}/photos", f"data.tag_file={tags}",
        f"data.mask_folder={root}/labels", f"runs={folder}/runs", "name=bench",
        "trainer.precision=32-true", *more,
    )  # fmt: skip


def pipeline(*words: str) -> Pipeline:
    """The stages of a configuration."""
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        return Pipeline(compose("config", list(words)))


def on_all_cores(work: Callable[[], T]) -> T:
    """The result of something with as many threads as torch takes by itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        return work()
    finally:
        torch.set_num_threads(before)
