"""The CRF draws a segmentation to the photo's edges; its library is an extra."""

import sys
from itertools import product

import numpy as np
import pytest
from hydra.utils import instantiate

from oaa_pl.config.compose import compose_group
from oaa_pl.errors import ConfigError
from oaa_pl.proxy.crf import DenseCrf, no_crf

SIZE = (16, 20)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A dark photo with a bright right half, and probabilities that are blurred and noisy there."""
    photo = np.full((*SIZE, 3), 30, np.uint8)
    photo[:, 10:] = 220
    sure = 1 / (1 + np.exp(-(np.arange(SIZE[1]) - 7.0)))  # three pixels off the edge
    noise = np.random.default_rng(0).normal(0, 0.15, SIZE)
    object_ = (sure + noise).clip(0.02, 0.98).astype(np.float32)
    return photo, np.stack([1 - object_, object_])


def mean_field(photo: np.ndarray, probabilities: np.ndarray, iterations: int) -> np.ndarray:
    """Krähenbühl & Koltun, Alg. 1, in plain loops; kernels normalised as the library's are."""
    labels, height, width = probabilities.shape
    unary = -np.log(probabilities.clip(1e-5, 1)).reshape(labels, -1)
    places = list(product(range(height), range(width)))
    kernels = []
    for weight, xy, rgb in ((3.0, 1.0, None), (4.0, 67.0, 3.0)):
        kernel = np.zeros((len(places), len(places)))
        for i, (y, x) in enumerate(places):
            for j, (v, u) in enumerate(places):
                far = ((x - u) ** 2 + (y - v) ** 2) / (2 * xy**2)
                if rgb is not None:
                    colours = photo[y, x].astype(float) - photo[v, u]
                    far += (colours**2).sum() / (2 * rgb**2)
                kernel[i, j] = np.exp(-far)
        norm = 1 / np.sqrt(kernel.sum(axis=1) + 1e-20)
        kernels.append((weight, norm[:, None] * kernel * norm[None]))
    belief = np.exp(-unary)
    belief /= belief.sum(axis=0)
    for _ in range(iterations):
        # Potts: a label pays for all that is labelled otherwise, that is, gains for its own.
        message = sum(weight * belief @ kernel for weight, kernel in kernels)
        belief = np.exp(-unary + message)
        belief /= belief.sum(axis=0)
    return belief.reshape(labels, height, width)


def test_no_crf_leaves_the_segmentation_as_it_is() -> None:
    photo, probabilities = scene()
    chosen = instantiate(compose_group("crf", "none"))
    assert chosen(photo, probabilities) is probabilities
    assert no_crf(photo, probabilities) is probabilities


def test_the_labels_follow_the_photos_edge() -> None:
    pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")
    photo, probabilities = scene()
    crf = instantiate(compose_group("crf", "release"))
    inferred = crf(photo, probabilities)
    assert inferred.shape == probabilities.shape
    assert inferred.dtype == np.float32
    assert inferred.sum(axis=0) == pytest.approx(1, abs=1e-5)
    truth = np.arange(SIZE[1]) >= 10
    before = (probabilities.argmax(axis=0) == truth).mean()
    after = (inferred.argmax(axis=0) == truth).mean()
    assert after > before
    assert after > 0.99


def test_inference_is_the_papers_mean_field() -> None:
    """The library filters on a permutohedral lattice, which is close to the sums over all pairs."""
    pytest.importorskip("pydensecrf", reason="the extra 'crf' is not installed")
    photo, probabilities = scene()
    photo, probabilities = photo[:8, 5:15], probabilities[:, :8, 5:15]
    inferred = DenseCrf(iterations=5)(photo, probabilities)
    assert np.abs(inferred - mean_field(photo, probabilities, 5)).mean() < 0.05


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(ConfigError, match=r"pip install 'oaa_pl\[crf\]'"):
        DenseCrf()


@pytest.mark.parametrize(
    "numbers",
    [{"iterations": 0}, {"smooth_weight": -1.0}, {"colour_xy": 0.0}, {"colour_rgb": -3.0}],
)
def test_numbers_out_of_range_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="crf: "):
        DenseCrf(**numbers)  # type: ignore[arg-type]
