import numpy as np
import pytest

from oaa_pl.data.synthetic.scene import BUILDERS

ANIMALS = ("bird", "cat", "fish", "giraffe")


@pytest.mark.parametrize("name", ANIMALS)
def test_an_animal_is_made_of_many_parts_inside_its_frame(name: str) -> None:
    for seed in range(10):
        parts = BUILDERS[name](np.random.default_rng(seed), 0.5)
        assert len(parts) >= 6
        corners = np.concatenate([part.outline for part in parts])
        assert np.isfinite(corners).all()
        assert np.abs(corners).max() < 1.8


@pytest.mark.parametrize("name", ANIMALS)
def test_an_animal_has_another_pose_for_another_seed_and_the_same_for_the_same(name: str) -> None:
    first, again, other = (
        np.concatenate([p.outline for p in BUILDERS[name](np.random.default_rng(seed), 1.0)])
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
