"""From image tags to pixel masks: online attention accumulation (Jiang et al., ICCV 2019).

What most people need is here, and is imported when it is first used:

    AttentionStore          cumulative attention maps of a data set, in a folder
    AttentionAccumulation   the Lightning callback that fills it while a classifier trains
    accumulate              the same for a training loop of your own
    score_map_of            a classifier of torchvision, timm or your own, with its score map
    Predictor               a trained segmenter: photos to masks
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oaa_pl.callbacks.accumulate import AttentionAccumulation
    from oaa_pl.nets.stock import score_map_of
    from oaa_pl.prediction.predictor import Predictor
    from oaa_pl.store.accumulate import accumulate
    from oaa_pl.store.attention_store import AttentionStore

__all__ = [
    "AttentionAccumulation",
    "AttentionStore",
    "Predictor",
    "__version__",
    "accumulate",
    "score_map_of",
]

__version__ = "0.1.0"

_HOMES = {
    "AttentionAccumulation": "oaa_pl.callbacks.accumulate",
    "AttentionStore": "oaa_pl.store.attention_store",
    "Predictor": "oaa_pl.prediction.predictor",
    "accumulate": "oaa_pl.store.accumulate",
    "score_map_of": "oaa_pl.nets.stock",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # found directly from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
