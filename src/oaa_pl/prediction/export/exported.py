"""Export a trained network: convert, compare with the checkpoint, and only then write.

Shapes: H x W pixels of a photo.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.images import read_photo
from oaa_pl.data.synthetic.scene import draw_scene
from oaa_pl.errors import ConfigError
from oaa_pl.files.atomic import write_whole
from oaa_pl.prediction.export.card import model_card
from oaa_pl.prediction.export.equality import Agreement, require_equal
from oaa_pl.prediction.export.program import FORMATS
from oaa_pl.prediction.export.trained import exportable

__all__ = ["Exported", "export"]


class Exported(NamedTuple):
    """What was written.

    Attributes:
        file: the network.
        card: the model card.
        agreement: how well the file agreed with the checkpoint.
    """

    file: Path
    card: Path
    agreement: Agreement


def export(
    checkpoint: Path,
    form: str,
    output: Path,
    *,
    photo: Path | None = None,
    licence: str | None = None,
    allow: Sequence[str] = (),
) -> Exported:
    """Write a trained network for other software, and a model card beside it.

    Args:
        checkpoint: of a classifier, an integral model or a segmenter, in its folder.
        form: "onnx" or "torch_export".
        output: the folder of the files `<kind>.onnx` or `<kind>.pt2`, and `<kind>.md`.
        photo: to compare with the checkpoint; None: a drawn one.
        licence: of the weights, for the model card.
        allow: other packages or modules whose networks the record may call, such as "timm".

    Raises:
        MissingInputError: if the checkpoint or a file beside it is missing or damaged.
        ConfigError: if the format is unknown, its software is not installed, or the folder has no
            network.
        WeightsError: if the checkpoint is damaged, or of another network.
        MissingImageError: if there is no such photo.
        BadImageError: if the photo cannot be read.
        ExportError: if the format lacks an operation of the network, or the file gives other
            values than the checkpoint. Nothing is written then.
        OutputError: if a file cannot be written.
    """
    if form not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {form!r}")
    chosen = FORMATS[form]
    picture = draw_scene(0, "val", 0, 320, 1.0).photo if photo is None else read_photo(photo)
    exported = exportable(checkpoint, allow)
    batches = _batches(picture)
    content = chosen.write(exported, exported.example(cells=(0, 1), batch=2))
    agreement = require_equal(exported, chosen.reader(content), batches)
    file = output / f"{exported.kind}{chosen.suffix}"
    card = model_card(exported, checkpoint, file.name, agreement, licence)
    write_whole(file, content)
    write_whole(file.with_suffix(".md"), card.encode())
    return Exported(file, file.with_suffix(".md"), agreement)


def _batches(photo: NDArray[np.uint8]) -> list[list[NDArray[np.uint8]]]:
    """The photo alone, and two others of another size and shape, as one batch."""
    height, width = photo.shape[:2]
    side = max(1, width * 3 // 5), max(1, height * 3 // 4)
    other = cv2.resize(photo, side, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return [[photo], [other, np.ascontiguousarray(other[::-1, ::-1])]]
