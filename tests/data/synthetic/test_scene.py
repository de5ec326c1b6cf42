import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from oaa_pl.data.synthetic.scene import BUILDERS, CLASSES, Scene, draw_scene
from oaa_pl.errors import ConfigError

DIGEST = """
import hashlib
from oaa_pl.data.synthetic.scene import draw_scene
scene = draw_scene(3, "val", 5, 96, 0.9)
print(hashlib.sha256(scene.photo.tobytes() + scene.mask.tobytes()).hexdigest())
"""


@cache
def some_scenes() -> tuple[Scene, ...]:
    return tuple(draw_scene(0, "train", index, 96, 0.9) for index in range(24))


def test_another_process_draws_the_same_bytes() -> None:
    scene = draw_scene(3, "val", 5, 96, 0.9)
    here = hashlib.sha256(scene.photo.tobytes() + scene.mask.tobytes()).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here


def test_seed_split_and_index_each_change_the_picture() -> None:
    base = draw_scene(0, "train", 0, 96, 0.9).photo
    for other in (("train", 8, 0), ("val", 0, 0), ("train", 0, 1)):
        split, index, seed = other
        photo = draw_scene(seed, split, index, 96, 0.9).photo
        assert photo.shape != base.shape or not np.array_equal(photo, base)


def test_there_are_at_least_six_classes_in_alphabetical_order() -> None:
    assert len(CLASSES) >= 6
    assert list(CLASSES) == sorted(CLASSES)
    assert tuple(BUILDERS) == CLASSES


def test_every_scene_shows_the_class_of_its_turn_and_one_to_three_classes() -> None:
    sizes = set()
    for index, scene in enumerate(some_scenes()):
        height, width = scene.mask.shape
        assert scene.photo.shape == (height, width, 3)
        assert max(height, width) == 96
        present = set(np.unique(scene.mask)) - {0}
        assert index % len(CLASSES) + 1 in present
        assert 1 <= len(present) <= 3
        sizes.add(scene.mask.shape)
    assert len(sizes) > 5, "aspect ratios must vary"


def test_every_object_is_large_enough_to_be_seen_and_leaves_some_background() -> None:
    for scene in some_scenes():
        pixels = np.bincount(scene.mask.ravel(), minlength=len(CLASSES) + 1)
        assert pixels[pixels > 0].min() >= 60
        assert pixels[0] > 0.3 * pixels.sum()


def test_some_scenes_have_more_than_one_class() -> None:
    counts = [len(np.unique(scene.mask)) - 1 for scene in some_scenes()]
    assert {1, 2} <= set(counts)


def test_objects_stand_out_from_the_background_next_to_them() -> None:
    contrast = []
    for scene in some_scenes()[:8]:
        inside = scene.mask > 0
        contrast.append(scene.photo[inside].std() / scene.photo[~inside].std())
    assert np.mean(contrast) > 1.2


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ConfigError, match="split must be one of train, val, got 'test'"):
        draw_scene(0, "test", 0, 96, 0.9)
