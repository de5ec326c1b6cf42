import json
from pathlib import Path

import numpy as np
import pytest

from oaa_pl.data.synthetic import cache
from oaa_pl.data.synthetic.cache import MASKS, PHOTOS, TAGS, Recipe, drawn_folder
from oaa_pl.data.synthetic.scene import draw_scene
from oaa_pl.errors import ConfigError, OutputError

RECIPE = Recipe("val", images=3, seed=0, long_side=64, reliability=0.9)


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_drawn_folder_has_photos_masks_tags_and_a_manifest(tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path, RECIPE)
    names = [f"val_{i:05d}.png" for i in range(3)]
    assert sorted(path.name for path in (folder / PHOTOS).iterdir()) == names
    assert sorted(path.name for path in (folder / MASKS).iterdir()) == names
    assert (folder / TAGS).read_text().splitlines()[0] == "image,tags"
    assert json.loads((folder / "manifest.json").read_text())["images"] == 3
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_drawing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (drawn_folder(tmp_path / name, RECIPE) for name in ("one", "two"))
    assert contents(first) == contents(second)


def test_a_complete_folder_is_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drawn_folder(tmp_path, RECIPE)
    monkeypatch.setattr(cache, "draw_scene", None)
    assert drawn_folder(tmp_path, RECIPE) == folder


def test_a_killed_drawing_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(drawn_folder(tmp_path / "whole", RECIPE))
    real, drawn = draw_scene, []

    def dies_at_the_second(*arguments: object) -> object:
        drawn.append(arguments)
        if len(drawn) == 2:
            raise KeyboardInterrupt("at the second")
        return real(*arguments)  # type: ignore[arg-type]  # passed through unseen

    monkeypatch.setattr(cache, "draw_scene", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt, match="at the second"):
        drawn_folder(tmp_path / "killed", RECIPE)
    assert not list((tmp_path / "killed").iterdir())
    monkeypatch.setattr(cache, "draw_scene", real)
    # SIGKILL cannot even clean up: a draft that stays behind must not disturb the next one.
    (tmp_path / "killed" / f".{RECIPE.folder_name()}-left" / PHOTOS).mkdir(parents=True)
    assert contents(drawn_folder(tmp_path / "killed", RECIPE)) == whole


@pytest.mark.parametrize("victim", [f"{PHOTOS}/val_00001.png", f"{MASKS}/val_00000.png", TAGS])
def test_a_folder_that_lacks_a_file_is_drawn_again(tmp_path: Path, victim: str) -> None:
    folder = drawn_folder(tmp_path, RECIPE)
    whole = contents(folder)
    (folder / victim).unlink()
    assert contents(drawn_folder(tmp_path, RECIPE)) == whole


def test_a_folder_of_another_version_is_drawn_again(tmp_path: Path) -> None:
    folder = drawn_folder(tmp_path, RECIPE)
    manifest = folder / "manifest.json"
    good = manifest.read_bytes()
    manifest.write_text(json.dumps({"version": 0}))
    drawn_folder(tmp_path, RECIPE)
    assert manifest.read_bytes() == good


def test_every_value_of_a_recipe_has_a_folder_of_its_own() -> None:
    recipes = [
        RECIPE,
        Recipe("train", 3, 0, 64, 0.9),
        Recipe("val", 4, 0, 64, 0.9),
        Recipe("val", 3, 1, 64, 0.9),
        Recipe("val", 3, 0, 80, 0.9),
        Recipe("val", 3, 0, 64, 0.5),
        Recipe("val", 3, 0, 64, 0.9, version=99),
    ]
    assert len({recipe.folder_name() for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("test", 3, 0, 64, 0.9), "split must be one of train, val, got 'test'"),
        (("val", 0, 0, 64, 0.9), "images must be 1 or more, got 0"),
        (("val", 3, -1, 64, 0.9), "seed must be 0 or more, got -1"),
        (("val", 3, 0, 8, 0.9), "long_side must be 48 or more, got 8"),
        (("val", 3, 0, 64, 1.5), r"reliability must be in \[0, 1\], got 1.5"),
        (("val", 3, 0, 64, np.nan), r"reliability must be in \[0, 1\], got nan"),
    ],
)
def test_a_value_out_of_range_is_named(
    values: tuple[str, int, int, int, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(*values)


def test_a_root_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError, match=r"data\.root .* cannot store the synthetic data set"):
        drawn_folder(blocked, RECIPE)
