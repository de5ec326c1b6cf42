"""A classifier or an integral model to export: photos to scores and maps.

Shapes: B photos; h' x w' cells; C foreground classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf

from oaa_pl.data.transforms import ViewTransform
from oaa_pl.losses import image_scores
from oaa_pl.prediction.export.exportable import Arrays, Exportable, Trained, fixed_side
from oaa_pl.prediction.export.graph import AttentionGraph
from oaa_pl.runs.recorded import require_known

__all__ = ["attention_model"]

_OUTPUTS = ("scores", "probabilities", "score_map", "attention")


def attention_model(trained: Trained) -> Exportable:
    """A classifier or an integral model as it sees photos without augmentation.

    Raises:
        ConfigError: if its record asks for other code than ours.
    """
    key = "integral.attention" if trained.kind == "integral" else "attention"
    recorded = trained.checkpoint.parent / "config.yaml"
    for part in (key, "data.eval_transform"):
        require_known(OmegaConf.select(trained.cfg, part), recorded)
    recipe, transforms = (trained.configured.recipe(part) for part in (key, "data.eval_transform"))
    to_attention = recipe()
    transform = ViewTransform(transforms(), trained.network.mean, trained.network.std)

    def inputs(photos: Sequence[NDArray[np.uint8]]) -> Arrays:
        return {"image": np.stack([transform.augment(photo, (0,))[0] for photo in photos])}

    @torch.no_grad()
    def expected(photo: NDArray[np.uint8]) -> Arrays:
        score_map = trained.net(transform(photo, (0,)).image[None])
        scores = image_scores(score_map)
        found = (scores, scores.sigmoid(), score_map, to_attention(score_map))
        return {name: value[0].numpy() for name, value in zip(_OUTPUTS, found, strict=True)}

    facts = trained.facts | {
        "resize": transforms.key,  # albumentations' own words
        "attention": recipe.key,
        "outputs": {
            "scores": "raw, float32, (B, C)",
            "probabilities": "sigmoid of the scores, float32, (B, C)",
            "score_map": "raw, float32, (B, C, h', w')",
            "attention": "in [0, 1], float32, (B, C, h', w')",
        },
    }
    graph = AttentionGraph(
        trained.net, trained.network.mean, trained.network.std, to_attention
    ).eval()
    return Exportable(
        trained.kind,
        graph,
        _OUTPUTS,
        facts["multiple"],
        fixed_side(trained.net),
        facts,
        inputs,
        expected,
    )
