"""A stage's folder with an untrained network, for exports that need no training."""

import json
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn

from oaa_pl.config.compose import register
from oaa_pl.files.installed import root_of
from oaa_pl.stages.configured import Configured


def stage_folder(folder: Path, kind: str, *words: str, classes: tuple[str, ...]) -> Path:
    """Checkpoint of a network with random weights, and the records beside it.

    Args:
        folder: to be made.
        kind: "segmenter" or "classifier".
        *words: overrides of the configuration, such as net=small.
        classes: names of the foreground classes.
    """
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        cfg = compose("config", ["net.weights=none", *words])
    role = "segmenter" if kind == "segmenter" else "attention"
    torch.manual_seed(0)
    parts = Configured(cfg)
    parts = parts.of_segmenter if kind == "segmenter" else parts
    net = parts.network(role).make(len(classes))
    for layer in net.modules():
        # As untrained ones, all scores would be nearly equal, and any label right.
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)
    last = [one for one in net.modules() if isinstance(one, nn.Conv2d)][-1]
    nn.init.normal_(last.weight)
    with torch.no_grad():
        # Logits of a usual size: of random ones in the thousands, float32 keeps no probability.
        last.weight *= 3 / net.eval()(torch.randn(1, 3, 64, 64)).std()
    folder.mkdir(parents=True)
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": state}, folder / "last.ckpt")
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    record = {"made_from": {kind: {}, "data": "abc", "net": {"weights": "none"}}}
    (folder / "stage.json").write_text(json.dumps({**record, "classes": list(classes)}))
    return folder / "last.ckpt"
