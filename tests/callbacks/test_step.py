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
    with pytest.raises(
        ConfigError, match=r"must be a dict .*got .*read_batch=.*lambda batch.*return image, labels"
    ):
        batch_fields(batch)


def test_what_a_batch_holds_is_in_the_error() -> None:
    batch = [torch.ones(2, 3, 8, 8), (torch.ones(2, 3), "photo")]
    held = r"list of 2 \(Tensor \(2, 3, 8, 8\), tuple of 2 \(Tensor \(2, 3\), str\)\)"
    with pytest.raises(ConfigError, match=rf"got {held}"):
        batch_fields(batch)


@pytest.mark.parametrize(
    ("read_batch", "why"),
    [
        (lambda batch: {"labels": batch[1], "index": batch[2]}, "IndexError: list index out of"),
        (lambda batch: {"labels": batch["tags"]}, "TypeError: list indices"),
        (lambda: None, "TypeError: .*takes 0 positional arguments"),
        ("index", "TypeError: 'str' object is not callable"),
    ],
)
def test_a_batch_that_read_batch_cannot_read_says_how_to_add_an_index(
    read_batch: Any, why: str
) -> None:
    with pytest.raises(
        ConfigError, match=rf"read_batch failed on a batch that is list of 2 .*{why}.*__getitem__"
    ):
        batch_fields([torch.ones(2, 3, 8, 8), torch.ones(2, 3)], read_batch)


@pytest.mark.parametrize(
    "labels", [["cat", "dog"], [[1, 0], [1]], object()], ids=["texts", "ragged", "object"]
)
def test_a_field_that_is_not_numbers_is_named(labels: Any) -> None:
    with pytest.raises(ConfigError, match="a batch's 'labels' must be numbers, got"):
        batch_fields({"labels": labels, "index": [0, 1]})


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
