from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule

from oaa_pl.callbacks.step import as_is, batch_fields, returned_map
from oaa_pl.errors import ConfigError

MAP = torch.ones(2, 3, 4, 4)


class Stranger(LightningModule):
    pass


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"loss": torch.ones(()), "score_map": MAP}, MAP),
        ({"score_map": MAP}, MAP),  # manual optimisation
        (None, None),
        ({}, None),  # what Lightning makes of None
        ({"loss": None}, None),
    ],
)
def test_a_step_returns_a_score_map_or_skips_its_batch(outputs: Any, expected: Any) -> None:
    assert returned_map(outputs, Stranger()) is expected


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ({"loss": torch.ones(())}, r"\['loss'\]"),
        ({"loss": torch.ones(()), "logits": MAP}, r"\['logits', 'loss'\]"),
        (torch.ones(()), "Tensor"),
        ([MAP], "list"),
    ],
)
def test_a_step_without_a_score_map_is_named(outputs: Any, found: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"Stranger\.training_step must return.*it returned {found}"
    ):
        returned_map(outputs, Stranger())


def test_a_batch_without_views_is_of_whole_images() -> None:
    batch = {"image": torch.ones(2, 3, 8, 8), "labels": [[1, 0, 0], [0, 1, 1]], "index": [4, 2]}
    fields = batch_fields(as_is(batch))
    assert set(fields) == {"labels", "index"}
    assert fields["index"].tolist() == [4, 2]
    assert fields["labels"].shape == (2, 3)


@pytest.mark.parametrize("batch", [(MAP, torch.ones(2, 3)), [MAP], MAP, "text"])
def test_a_batch_that_is_no_dict_asks_for_an_adapter(batch: Any) -> None:
    with pytest.raises(ConfigError, match=r"must be a dict .*got .*read_batch=.*lambda batch"):
        batch_fields(batch)


@pytest.mark.parametrize(
    ("batch", "missing"),
    [
        ({"labels": torch.ones(2, 3)}, "'index'"),
        ({"index": torch.arange(2), "target": 0}, "'labels'"),
        ({"labels": None, "index": None}, "'labels' and 'index'"),
    ],
)
def test_a_batch_without_its_fields_says_how_to_add_them(
    batch: dict[str, Any], missing: str
) -> None:
    with pytest.raises(ConfigError, match=rf"needs {missing} .*__getitem__\(self, index\)"):
        batch_fields(batch)
