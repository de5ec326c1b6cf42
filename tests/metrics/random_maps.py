"""Random label and attention maps, and scores by their definitions."""

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from oaa_pl.ids import IGNORED
from oaa_pl.metrics import SegmentationScore

CLASSES = 4  # with the background
QUICK = settings(max_examples=20, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10_000)


def random_ids(seed: int, shape: tuple[int, ...], ignored: float = 0.2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, CLASSES, shape, generator=generator)
    return ids.where(torch.rand(shape, generator=generator) >= ignored, IGNORED)


def oracle_scores(prediction: Tensor, truth: Tensor) -> dict[str, float]:
    """Each score by its definition, pixel by pixel."""
    pixels = [
        (int(p), int(t))
        for p, t in zip(prediction.flatten(), truth.flatten(), strict=True)
        if t != IGNORED
    ]
    labelled = [(p, t) for p, t in pixels if p != IGNORED]
    ious, precisions, recalls = [], [], []
    for c in range(CLASSES):
        hits = sum(p == c and t == c for p, t in labelled)
        predicted = sum(p == c for p, _ in labelled)
        true = sum(t == c for _, t in labelled)
        if predicted + true - hits:
            ious.append(hits / (predicted + true - hits))
        if c and predicted:
            precisions.append(hits / predicted)
        if c and true:
            recalls.append(hits / true)
    return {
        "miou": sum(ious) / len(ious),
        "precision": sum(precisions) / len(precisions),
        "recall": sum(recalls) / len(recalls),
        "coverage": len(labelled) / len(pixels),
    }


def computed(metric: SegmentationScore) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def random_attention(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Maps of two of the three classes in steps of 1/20, and a truth."""
    generator = torch.Generator().manual_seed(seed)
    attention = torch.randint(0, 21, (2, 6, 8), generator=generator) / 20
    return attention, torch.tensor([0, 2]), random_ids(seed + 1, (6, 8))


def cut_by_hand(attention: Tensor, categories: Tensor, threshold: float) -> Tensor:
    """The label map of one threshold, pixel by pixel."""
    labels = torch.zeros(attention.shape[1:], dtype=torch.long)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            column = attention[:, y, x].tolist()
            best = max(range(len(column)), key=lambda k: column[k])
            if column[best] >= threshold - 1e-6:
                labels[y, x] = categories[best] + 1
    return labels
