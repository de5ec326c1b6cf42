"""A salient-object network from an ONNX file, applied to one photo at a time.

Source: Qin et al., "U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection",
Pattern Recognition 2020, and the preprocessing of its release.

Shapes: a photo is (H, W, 3) uint8 RGB, its saliency (H, W) float32 in [0, 1], 1 for an object; the
network maps (1, 3, h, w) to (1, 1, h, w). Only its first output is used.
"""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oaa_pl.errors import ConfigError, WeightsError
from oaa_pl.files.home import expanded_path

__all__ = ["SaliencyModel"]


class SaliencyModel:
    """Saliency from a network such as U2-Net, as an ONNX file.

    Pickles as a path: each process reads the file once.

    Args:
        path: the ONNX file; None is an error.
        size: side of the network's square input in pixels, if the file does not fix it.
        mean: of the network's input per channel R, G, B, of photos in [0, 1].
        std: of the network's input per channel, above 0.

    Raises:
        ConfigError: if no path is given, a number is out of range or the extra `saliency` is not
            installed.
        WeightsError: if the file does not exist, is not an ONNX file, or its input is not an image.
    """

    def __init__(
        self, path: str | Path | None, size: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        if path is None:
            raise ConfigError("saliency.model is not set; give saliency.model=<file.onnx>")
        if size < 1 or len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ConfigError(
                f"saliency.size must be 1 or more, mean and std three numbers, std above 0; got "
                f"{size}, {list(mean)} and {list(std)}"
            )
        self.path = expanded_path(path)
        self.size = size
        self.mean = tuple(float(one) for one in mean)
        self.std = tuple(float(one) for one in std)
        try:
            with self.path.open("rb") as file:
                self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WeightsError(
                f"saliency.model '{self.path}' cannot be read ({error.strerror}); give the path "
                f"of an ONNX file, such as u2net.onnx; models are not fetched by name"
            ) from error
        _network(self.path, self.digest)

    def __call__(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Saliency of one photo.

        Args:
            photo: RGB, (H, W, 3).

        Returns:
            The network's output, stretched to [0, 1], (H, W). 0 everywhere if it has one value
            everywhere, because then nothing stands out.

        Raises:
            WeightsError: if the network fails, or its output is not one finite map.
        """
        answer = self._answer(photo)
        least, most = answer.min(), answer.max()
        if not np.isfinite([least, most]).all():
            raise WeightsError(
                f"saliency.model '{self.path}' answers with values that are not finite; give the "
                f"file of another model, or saliency.mean and saliency.std as it was trained with"
            )
        if most <= least:
            return np.zeros(photo.shape[:2], np.float32)
        stretched = (answer - least) / (most - least)
        height, width = photo.shape[:2]
        # Bilinear: a sharper filter would overshoot around objects, out of [0, 1].
        resized = Image.fromarray(stretched).resize((width, height), Image.Resampling.BILINEAR)
        return np.array(resized, np.float32).clip(0, 1)

    def _answer(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's first output: raw, (h, w)."""
        network = _network(self.path, self.digest)
        size = (network.width or self.size, network.height or self.size)
        small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))
        levels = small.astype(np.float32) / max(int(small.max()), 1)  # as in U2-Net's release
        normal = (levels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        batch = np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
        try:
            outputs = network.session.run(None, {network.input: batch})
        except Exception as error:  # the library's errors have no common base of their own
            raise WeightsError(
                f"saliency.model '{self.path}' fails on a photo of {size[0]} x {size[1]} px "
                f"({_first_line(error)}); say the side that it was trained with by saliency.size"
            ) from error
        answer = np.asarray(outputs[0], np.float32)
        if answer.ndim not in (3, 4) or set(answer.shape[:-2]) != {1}:
            raise WeightsError(
                f"saliency.model '{self.path}' answers with the shape {answer.shape}, expected one "
                f"map (1, 1, h, w); give the file of a salient-object model"
            )
        return answer.reshape(answer.shape[-2:])


class _Network(NamedTuple):
    session: Any
    input: str
    height: int | None  # None: any
    width: int | None


@lru_cache(maxsize=1)
def _network(path: Path, digest: str) -> _Network:
    """The network in the file with this digest, ready to run; one is cached per process."""
    del digest
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            "saliency by a model needs the extra 'saliency': pip install 'oaa_pl[saliency]'; or "
            "use background=boundary, which needs neither it nor a model"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # exceptions report what goes wrong
    options.intra_op_num_threads = _threads()
    # On shared cores, threads that spin while waiting cost more than they gain.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:  # the library's errors have no common base of their own
        raise WeightsError(
            f"saliency.model '{path}' cannot be run as an ONNX file ({_first_line(error)}); "
            f"give the whole file of a salient-object model, such as u2net.onnx"
        ) from error
    inputs = [(one.name, one.type, one.shape) for one in session.get_inputs()]
    if len(inputs) != 1 or inputs[0][1] != "tensor(float)" or not _takes_photos(inputs[0][2]):
        raise WeightsError(
            f"saliency.model '{path}' takes {inputs}, expected one float input of the shape "
            f"(1, 3, h, w); give the file of a salient-object model"
        )
    name, _, (_, _, height, width) = inputs[0]
    fixed = [side if isinstance(side, int) else None for side in (height, width)]
    return _Network(session, name, *fixed)


def _takes_photos(shape: Sequence[object]) -> bool:
    """Whether (batch, channels, h, w) can be (1, 3, h, w); a free size is not an int."""
    fits = (
        not isinstance(side, int) or side == one for side, one in zip(shape, (1, 3), strict=False)
    )
    return len(shape) == 4 and all(fits)


def _threads() -> int:
    """1 in a pool's process, where OpenCV has 1 too; otherwise OMP_NUM_THREADS or all cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    most = cv2.getNumThreads()
    return max(1, min(int(wanted), most) if wanted.isdigit() else most)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
