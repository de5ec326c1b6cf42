"""How fast a segmenter is as ONNX file and in PyTorch, in one run: seconds of ten photos.

    python benchmarks/export.py --folder runs/synthetic/seed-0/segmenter/oaa_max
    python benchmarks/export.py --net vgg16

The first measures a trained segmenter; the second a network of conf/net with random weights. Each
photo goes through on its own, as it does in an application. Both ways take turns photo by photo,
and time of the processor is counted, so that other work on the machine matters little; the ratio is
of the medians. The masks are compared too.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
import torch
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from omegaconf import OmegaConf

from oaa_pl.config.compose import register
from oaa_pl.data.synthetic.scene import draw_scene
from oaa_pl.files.installed import root_of
from oaa_pl.prediction.export.exported import export
from oaa_pl.prediction.export.trained import exportable
from oaa_pl.stages.configured import Configured

Result = TypeVar("Result")

PHOTOS = 10
CLASSES = 20
LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def untrained(folder: Path, net: str, size: int) -> Path:
    """The checkpoint of a network with random weights, with the records of a stage."""
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        words = [f"net={net}", "net.weights=none", f"data.input_size={size}"]
        cfg = compose("config", words)
    torch.manual_seed(0)
    module = Configured(cfg).network("segmenter").make(CLASSES)
    state = {f"net.{name}": value for name, value in module.state_dict().items()}
    torch.save({"state_dict": state}, folder / "last.ckpt")
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    record = {"made_from": {"segmenter": {}}, "classes": [f"class {n}" for n in range(CLASSES)]}
    (folder / "stage.json").write_text(json.dumps(record))
    return folder / "last.ckpt"


def free_sides(file: Path) -> list[str]:
    """Names of the free sides of a file's input: batch, height, width."""
    [image, *_] = onnxruntime.InferenceSession(file).get_inputs()
    return [side for side in image.shape if isinstance(side, str)]


def timed(work: Callable[[NDArray], Result], photo: NDArray) -> tuple[float, Result]:
    """Seconds of the processor for one call, in all its threads, and what it returned."""
    start = time.process_time()
    found = work(photo)
    return time.process_time() - start, found


def main() -> None:
    """Print a line for each way, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="a segmenter's folder")
    parser.add_argument("--net", default="small", help="without --folder: a network of conf/net")
    parser.add_argument("--size", type=int, default=320, help="without --folder: input side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--level", default="all", choices=LEVELS, help="of graph optimisation")
    parser.add_argument("--fixed", action="store_true", help="tell onnxruntime the photo's size")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = (
            args.folder / "last.ckpt"
            if args.folder
            else untrained(Path(folder), args.net, args.size)
        )
        made = export(checkpoint, "onnx", Path(folder) / "out")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        options.graph_optimization_level = LEVELS[args.level]
        exported = exportable(checkpoint)
        photos = [draw_scene(2, "val", n, 240 + 40 * n, 1.0).photo for n in range(PHOTOS)]
        if args.fixed:
            sides = exported.inputs(photos[:1])["image"].shape[:3]
            for name, side in zip(free_sides(made.file), sides, strict=True):
                options.add_free_dimension_override_by_name(name, side)
        session = onnxruntime.InferenceSession(
            made.file, options, providers=["CPUExecutionProvider"]
        )

        def by_onnx(photo: NDArray) -> list[NDArray]:
            return session.run(None, exported.inputs([photo]))

        ours: list[float] = []
        theirs: list[float] = []
        labels, worst = 1.0, 0.0
        for turn in range(args.rounds + 1):  # the first warms up, and compares
            for photo in photos:
                one, expected = timed(exported.expected, photo)
                two, (mask, _, probabilities) = timed(by_onnx, photo)
                if turn:
                    ours.append(one)
                    theirs.append(two)
                    continue
                labels = min(labels, float((expected["mask"] == mask[0]).mean()))
                difference = np.abs(expected["probabilities"] - probabilities[0]).max()
                worst = max(worst, float(difference))
    what = str(args.folder) if args.folder else f"{args.net}, {args.size} px, random weights"
    print(f"{what}; {args.threads} threads of {platform.machine()}")
    print(f"PyTorch      {1000 * np.median(ours):8.1f} ms a photo, {len(ours)} photos")
    print(f"onnxruntime  {1000 * np.median(theirs):8.1f} ms a photo, {len(theirs)} photos")
    print(f"ratio        {np.median(ours) / np.median(theirs):8.2f} times as fast as PyTorch")
    print(f"equal labels {100 * labels:8.3f} %, largest difference {worst:.1e}")


if __name__ == "__main__":
    main()
