"""How trained segmenters see photos when they are scored: tiles."""

from pathlib import Path

import pytest
import torch
from tests.cases import some_quick
from tests.commands.tiny import oaa, require_refusal, words

from oaa_pl.nets.small import SmallTrunk

FOLDER = Path("runs/tiny/seed-0/segmenter/oaa_max")


def scored(root: Path, tile: str) -> tuple[str, dict[str, bytes], str]:
    """Scores, predictions and how they were made, of photos at their own size."""
    said = oaa(
        "evaluate", *words(root), "methods=[oaa_max]", "evaluate.size=null", f"evaluate.tile={tile}"
    )
    assert said.status == 0, said.err
    masks = {path.name: path.read_bytes() for path in (FOLDER / "predictions").glob("*.png")}
    assert masks
    return (FOLDER / "metrics.csv").read_text(), masks, (FOLDER / "scored.json").read_text()


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The longest side of each input that the network gets."""
    found: list[int] = []
    forward = SmallTrunk.forward

    def watched(self: SmallTrunk, image: torch.Tensor) -> torch.Tensor:
        found.append(max(image.shape[2:]))
        return forward(self, image)

    monkeypatch.setattr(SmallTrunk, "forward", watched)
    # It runs the network on noise of its own size.
    monkeypatch.setattr("oaa_pl.stages.trained.folded", lambda net: net)
    return found


def test_tiles_as_large_as_the_photos_give_the_scores_of_no_tiles(
    again: Path, tiny_voc_once: Path
) -> None:
    scores, masks, how = scored(tiny_voc_once, "null")
    assert '"tile": null' in how
    for tile in ("64", "4096"):
        assert scored(tiny_voc_once, tile)[:2] == (scores, masks)
        assert f'"tile": {tile}' in (FOLDER / "scored.json").read_text()
    # The default was used before there was a choice: such scores stay valid.
    assert "tile" not in scored(tiny_voc_once, "2048")[2]


def test_smaller_tiles_bound_what_the_network_gets(
    again: Path, tiny_voc_once: Path, sides: list[int]
) -> None:
    whole = scored(tiny_voc_once, "null")
    assert max(sides) == 64
    sides.clear()
    tiles = scored(tiny_voc_once, "32")
    assert 0 < max(sides) <= 32
    assert tiles[1].keys() == whole[1].keys()
    assert tiles[1] != whole[1]  # the network sees less around a tile's border


def test_the_switch_of_predict_is_that_of_evaluate_unless_it_is_named(
    again: Path, tiny_voc_once: Path, sides: list[int]
) -> None:
    photos = tiny_voc_once / "JPEGImages"
    common = ("predict", f"predict.checkpoint={FOLDER}/last.ckpt", f"predict.photos={photos}",
              "evaluate.size=null")  # fmt: skip
    for tile, named in ((24, ("evaluate.tile=24",)), (32, ("predict.tile=32", "evaluate.tile=24"))):
        sides.clear()
        said = oaa(*common, f"predict.output=tiles-of-{tile}", *named)
        assert said.status == 0, said.err
        assert max(sides) == tile


@pytest.mark.parametrize("tile", some_quick(["0", "-8", "1.5", "all", "true"], 3))
def test_a_tile_that_is_no_number_of_pixels_is_refused_before_anything_is_scored(
    again: Path, tiny_voc_once: Path, tile: str
) -> None:
    before = (FOLDER / "metrics.csv").read_bytes()
    said = oaa("evaluate", *words(tiny_voc_once), f"evaluate.tile={tile}")
    require_refusal(said, "evaluate.tile must be a whole number of pixels")
    assert (FOLDER / "metrics.csv").read_bytes() == before
