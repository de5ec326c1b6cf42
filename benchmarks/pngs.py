"""Maps as the authors' release keeps them: each is a file of 8-bit grey."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["update_pngs", "write_pngs"]


def write_pngs(folder: Path, maps: np.ndarray) -> list[Path]:
    """Write maps in [0, 1], (N, h, w); their files."""
    files = [folder / f"{n}.png" for n in range(len(maps))]
    for path, one in zip(files, maps, strict=True):
        Image.fromarray((one * 255).astype(np.uint8)).save(path)
    return files


def update_pngs(files: Sequence[Path], maps: np.ndarray) -> None:
    """Decode each file, take the maximum with a map, and write it again."""
    for path, one in zip(files, maps, strict=True):
        old = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
        buffer = io.BytesIO()
        Image.fromarray(np.maximum(old, (one * 255).astype(np.uint8))).save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())
