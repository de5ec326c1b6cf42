"""Label and confidence of the views of a photo, against plain interpolation."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from oaa_pl.errors import ConfigError
from oaa_pl.nets.seen import Seen


def expected(views: list[tuple[torch.Tensor, bool]], size: tuple[int, int]) -> torch.Tensor:
    found = []
    for logits, mirrored in views:
        whole = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
        whole = whole.softmax(0)
        found.append(whole.flip(2) if mirrored else whole)
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("mirrored", [(False,), (False, True), (False, True, False)])
@pytest.mark.parametrize("values", [2**23, 60])
def test_confidence_is_the_probability_of_the_label(
    mirrored: tuple[bool, ...], values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oaa_pl.nets.bands._VALUES", values)
    torch.manual_seed(0)
    views = [(4 * torch.randn(3, 5, 7), one) for one in mirrored]
    seen, size = Seen(views, (23, 31)), (23, 31)
    label, confidence = seen.labelled()
    probabilities = expected(views, size)
    np.testing.assert_array_equal(label, seen.label())
    # float32 rounding between bands and the whole photo
    np.testing.assert_allclose(confidence, probabilities.amax(0), rtol=0, atol=2e-6)
    chosen = probabilities.gather(0, torch.from_numpy(label).long()[None])[0]
    np.testing.assert_allclose(confidence, chosen, rtol=0, atol=2e-6)
    assert confidence.dtype == np.float32


def test_a_sure_network_is_labelled_by_its_logits_where_probabilities_tie() -> None:
    logits = torch.tensor([40.0, 41.0, -80.0]).view(3, 1, 1).expand(3, 2, 2)
    surer = logits * torch.tensor([1.0, 1.0, 1.0]).view(3, 1, 1)
    label, confidence = Seen([(surer.contiguous(), False)], (4, 4)).labelled()
    assert (label == 1).all()
    assert (confidence <= 1).all()


def test_more_ids_than_a_mask_holds_are_refused() -> None:
    with pytest.raises(ConfigError, match="a label map holds 254 classes"):
        Seen([(torch.zeros(256, 2, 2), False)], (4, 4)).labelled()
