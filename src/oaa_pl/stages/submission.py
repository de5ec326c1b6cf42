"""The archive that PASCAL VOC's evaluation server takes.

    results/VOC2012/Segmentation/comp6_test_cls/<id>.png    label ids with VOC's palette

Source: the VOC 2012 development kit, "Submission of Results". Competition 5 is for methods that
learn from VOC's own training data alone; a start from ImageNet weights belongs to 6.
"""

import gzip
import io
import logging
import tarfile
from collections.abc import Sequence
from pathlib import Path

from oaa_pl.callbacks.progress import bar
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.files.atomic import write_whole
from oaa_pl.proxy.palette import save_label
from oaa_pl.runs.record import writing
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.segmenter import SegmenterStage
from oaa_pl.stages.trained import label_photo

__all__ = ["submit", "write_archive"]

log = logging.getLogger(__name__)


def submit(pipeline: Pipeline, competition: str) -> list[Path]:
    """Segment the validation split and pack it, for every finished segmenter of the run.

    Writes `submission/<split>/<id>.png` and `submission/<split>.tar.gz` into the segmenter's
    folder. Neither tags nor masks are needed, and scores are left alone.

    Args:
        pipeline: of the run.
        competition: "comp5" or "comp6".

    Returns:
        The archives.

    Raises:
        ConfigError: if there is no such competition.
        MissingInputError: if there is no photo to segment, or no segmenter is finished.
        StoreError: if another process writes a segmenter's folder.
    """
    _require_competition(competition)
    val = pipeline.parts.data.val
    finished = [stage for stage in pipeline.scored() if isinstance(stage, SegmenterStage)]
    if val is None or not finished:
        raise MissingInputError(
            "submission=true needs a split (data.val_split) and a segmenter in "
            f"{pipeline.parts.run.root}; first run 'oaa fit stage=segmenter'"
        )
    archives = []
    for segmenter in finished:
        folder = segmenter.scored_folder / "submission" / val.split
        label = label_photo(segmenter.segmenting, segmenter.folder / LAST, len(val.classes))
        archives.append(folder.parent / f"{val.split}.tar.gz")
        with (
            writing(segmenter.scored_folder),
            bar(len(val.ids), f"submission of {segmenter.method}") as progress,
        ):
            for index, name in enumerate(val.ids):
                save_label(folder / f"{name}.png", label(val.photo(index)))
                progress.update(1)
            write_archive(archives[-1], folder, val.ids, competition)
        log.info("%s: for the evaluation server", archives[-1])
    return archives


def write_archive(
    archive: Path, predictions: Path, ids: Sequence[str], competition: str = "comp6"
) -> None:
    """Pack predicted labels; equal predictions make equal bytes.

    Args:
        archive: the file to write, `.tar.gz`; an old one is replaced whole.
        predictions: folder of `<id>.png`, palette images as `save_label` writes them.
        ids: of the images that the server expects.
        competition: "comp5" or "comp6".

    Raises:
        ConfigError: if there is no such competition.
        MissingInputError: if an image has no prediction.
        OutputError: if the archive cannot be written.
    """
    _require_competition(competition)
    missing = [name for name in ids if not (predictions / f"{name}.png").is_file()]
    if missing:
        raise MissingInputError(
            f"{predictions} has no prediction of image {missing[0]!r} ({len(missing)} such)"
        )
    folder = f"results/VOC2012/Segmentation/{competition}_test_cls"
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(ids):
            content = (predictions / f"{name}.png").read_bytes()
            entry = tarfile.TarInfo(f"{folder}/{name}.png")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    write_whole(archive, buffer.getvalue())


def _require_competition(competition: str) -> None:
    if competition not in ("comp5", "comp6"):
        raise ConfigError(f"competition must be comp5 or comp6, got {competition!r}")
