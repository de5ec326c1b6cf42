"""What both cues that keep maps rely on; damage and change are tested with the boundary cue."""

from pathlib import Path

import numpy as np
import pytest

from oaa_pl.proxy.kept_maps import KeptMaps, to_levels

PHOTO = np.zeros((2, 3, 3), np.uint8)


def half(photo: np.ndarray) -> np.ndarray:
    return np.full(photo.shape[:2], 0.5, np.float32)


def never(photo: np.ndarray) -> np.ndarray:
    raise ZeroDivisionError("it was kept")


@pytest.mark.parametrize(("value", "level"), [(0.0, 0), (0.001, 0), (0.003, 1), (1.0, 255)])
def test_saliency_is_kept_as_the_nearest_gray_level(value: float, level: int) -> None:
    levels = to_levels(np.full((2, 3), value, np.float32))
    assert levels.dtype == np.uint8
    assert (levels == level).all()


def test_a_map_is_made_once_per_cue_and_parameters(tmp_path: Path) -> None:
    made = KeptMaps(tmp_path, "cue", [1, "a"])("a", PHOTO, half)
    assert np.array_equal(made, np.full((2, 3), np.float32(128) / np.float32(255)))
    assert np.array_equal(KeptMaps(tmp_path, "cue", [1, "a"])("a", PHOTO, never), made)
    for other in (KeptMaps(tmp_path, "cue", [2, "a"]), KeptMaps(tmp_path, "other", [1, "a"])):
        with pytest.raises(ZeroDivisionError, match="it was kept"):
            other("a", PHOTO, never)


def test_without_a_cache_a_map_is_made_again() -> None:
    kept = KeptMaps(None, "cue", [])
    assert np.array_equal(kept("a", PHOTO, half), kept("a", PHOTO, half))
    with pytest.raises(ZeroDivisionError, match="it was kept"):
        kept("a", PHOTO, never)
