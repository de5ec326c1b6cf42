"""docs/images/steps.py draws the picture of the README."""

from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.scripts import loaded

SCRIPT = Path(__file__).parents[1] / "docs" / "images" / "steps.py"


@pytest.fixture(scope="module")
def steps() -> ModuleType:
    return loaded(SCRIPT)


def rows(count: int, noise: int) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Photos of other shapes, each with two panels; noise makes a file large."""
    rng = np.random.default_rng(0)
    shapes = [(60 + 20 * n, 100, 3) for n in range(count)]
    pictures = [rng.integers(0, 1 + noise, shape, dtype=np.uint8) for shape in shapes]
    return [("cat", {"photo": one, "mask": one}) for one in pictures]


def test_the_first_photo_with_that_tag_alone_is_shown(steps: ModuleType) -> None:
    labels = np.array([[1, 1], [0, 1], [1, 0], [1, 0]], np.uint8)
    source = SimpleNamespace(labels=labels, classes=("cat", "dog"))
    assert steps.first_photos(source, ["dog", "cat"]) == [1, 2]


def test_rows_are_as_high_as_their_photos(steps: ModuleType, tmp_path: Path) -> None:
    steps.save(steps.draw(rows(2, noise=9)), tmp_path / "steps.jpg")
    with Image.open(tmp_path / "steps.jpg") as picture:
        assert picture.height / picture.width == pytest.approx(0.8, abs=0.1)  # 0.6 + 0.8 of a width


def test_a_picture_that_is_too_large_is_refused(steps: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="name fewer classes"):
        steps.save(steps.draw(rows(9, noise=254)), tmp_path / "steps.jpg")
