from pathlib import Path
from typing import Any

import pytest
import torch
from tests.modules.test_stage import classifier
from tests.modules.tiny import Batches, loader, quiet_trainer

from oaa_pl.modules.precision import true_precision

THIRD = 1 / 3


class Turned(Batches):
    """Views that no half precision can hold."""

    def __getitem__(self, place: int) -> Any:
        sample: Any = super().__getitem__(place)
        return {**sample, "view": torch.full((2, 3), THIRD)}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("bf16-true", torch.bfloat16), ("16-true", torch.float16), ("64-true", torch.float64)],
)
def test_images_meet_weights_of_their_type_and_geometry_stays_exact(
    tmp_path: Path, name: str, dtype: torch.dtype
) -> None:
    module = classifier()
    seen: list[dict[str, torch.Tensor]] = []
    step = module.training_step
    module.training_step = lambda batch: seen.append(batch) or step(batch)  # type: ignore[assignment, func-returns-value, method-assign]
    trainer = quiet_trainer(tmp_path, max_epochs=1, plugins=[true_precision(name)])
    trainer.fit(module, torch.utils.data.DataLoader(Turned(), batch_size=2), loader())
    assert {p.dtype for p in module.parameters()} == {dtype}
    assert {batch["image"].dtype for batch in seen} == {dtype}
    for key in ("view", "labels"):
        assert {batch[key].dtype for batch in seen} == {torch.float32}
    assert (seen[0]["view"] == torch.tensor(THIRD)).all()


@pytest.mark.parametrize("name", ["32-true", "bf16-mixed", "16-mixed"])
def test_others_are_left_to_lightning(name: str) -> None:
    assert true_precision(name) is None
