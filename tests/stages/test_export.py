"""A network's own maps: once as it was trained, or as the mean of several views."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf, open_dict
from tests.commands.tiny import oaa, require_refusal, words
from tests.stages.test_configured import composed
from torch import Tensor, nn

from oaa_pl.attention.cam import class_attention
from oaa_pl.attention.view import identity_view
from oaa_pl.errors import ConfigError
from oaa_pl.stages.export import mean_score_map
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.views import MapViews
from oaa_pl.store.reader import StoreReader

SEED = Path("runs/tiny/seed-0")
CAM = SEED / "attention/cam"
VIEWS = ("attend.scales=[0.5,1.0,1.5]", "attend.flip=true")


class Cells(nn.Module):
    """Scores of 2 classes for each 2 x 2 pixels, by a convolution that is not symmetric."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, kernel_size=2, stride=2)
        torch.nn.init.normal_(self.layer.weight, generator=torch.Generator().manual_seed(1))

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.layer(image)
        return scores


def batch_of(image: Tensor, view: Tensor | None = None) -> Any:
    return {"image": image, "view": identity_view(len(image)) if view is None else view}


@torch.no_grad()
def test_the_mean_of_a_photo_and_its_mirror_image_in_plain_loops() -> None:
    net, image = Cells(), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    mean, view = mean_score_map(net, [batch_of(image)], (4, 4), flip=True)
    there, mirrored = net(image), net(image.flip(3))
    assert torch.equal(view, identity_view(2))
    for b in range(2):
        for c in range(2):
            for y in range(4):
                for x in range(4):
                    value = (there[b, c, y, x] + mirrored[b, c, y, 3 - x]) / 2
                    assert float(mean[b, c, y, x]) == pytest.approx(float(value), abs=1e-6)


@torch.no_grad()
def test_the_mean_over_scales_is_that_of_scores_not_of_attention() -> None:
    net = Cells()
    small, large = (torch.randn(1, 3, side, side) for side in (8, 16))
    mean, _ = mean_score_map(net, [batch_of(small), batch_of(large)], (4, 4), flip=False)
    on_grid = nn.functional.interpolate(net(large), (4, 4), mode="bilinear", align_corners=False)
    assert torch.allclose(mean, (net(small) + on_grid) / 2, atol=1e-5)
    assert (class_attention(mean).amax(dim=(2, 3)) == 1).all()


@torch.no_grad()
def test_a_cell_that_one_view_does_not_show_is_the_mean_of_the_others() -> None:
    net, image = Cells(), torch.randn(1, 3, 8, 8)
    left_half = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    both = [batch_of(image), batch_of(image, left_half)]
    mean, _ = mean_score_map(net, both, (4, 4), flip=False)
    assert torch.allclose(mean[..., 2:], net(image)[..., 2:])
    assert not torch.allclose(mean[..., :2], net(image)[..., :2])
    nothing, _ = mean_score_map(net, [batch_of(image, left_half)], (4, 4), flip=True)
    assert not nothing[..., 2:].any()


@pytest.mark.slow
def test_maps_of_several_views_are_recorded_as_such(again: Path, tiny_voc_once: Path) -> None:
    chosen = (*words(tiny_voc_once), "method=cam")
    single = np.array(StoreReader(CAM / "store").state)
    assert oaa("attend", *chosen).status == 0  # as they are there
    # Finished maps of one view are never taken for those of several.
    require_refusal(oaa("attend", *chosen, *VIEWS), str(CAM), "views")
    CAM.rename(CAM.with_name("single"))
    done = oaa("attend", *chosen, *VIEWS)
    assert done.status == 0, done.err
    reader = StoreReader(CAM / "store")
    assert reader.header.normalisation == "class_attention at scales 0.5, 1, 1.5 and mirrored"
    assert not np.array_equal(reader.state, single)
    assert reader.state.max() == 1
    assert OmegaConf.load(CAM / "config.yaml").attend.flip is True
    require_refusal(oaa("attend", *chosen), str(CAM), "views")
    require_refusal(oaa("attend", *chosen, VIEWS[0]), str(CAM), "flip")


def test_a_damaged_row_of_several_views_is_not_repaired_from_one(
    again: Path, tiny_voc_once: Path
) -> None:
    CAM.rename(CAM.with_name("single"))
    assert oaa("attend", *words(tiny_voc_once), "method=cam", VIEWS[1]).status == 0
    (state,) = (CAM / "store").glob("generations/*/state.npy")
    damaged = bytearray(state.read_bytes())
    damaged[-3] ^= 64
    state.chmod(0o644)
    state.write_bytes(damaged)
    done = oaa("store", "repair", str(CAM / "store"))
    require_refusal(done, "at scales 1 and mirrored", "run 'oaa attend' again")


def test_the_input_of_each_scale_is_read_from_the_photo_at_a_whole_number_of_cells(
    tiny_voc_once: Path,
) -> None:
    stage = Pipeline(composed(tiny_voc_once, "attend.scales=[0.4,1.0,2.0]")).attention("cam")
    assert stage.model is not None
    loaders = stage.views.loaders(stage.data, stage.model.net, 8)
    sides = [next(iter(one.predict_dataloader()))["image"].shape[-1] for one in loaders]
    assert sides == [16, 48, 96]
    photos = [next(iter(one.predict_dataloader()))["image"] for one in loaders]
    coarse = nn.functional.interpolate(photos[1], (96, 96), mode="bilinear", align_corners=False)
    assert not torch.allclose(coarse, photos[2], atol=0.05)


@pytest.mark.parametrize(("workers", "each"), [(0, 0), (1, 1), (3, 1), (7, 3)])
def test_scales_share_the_workers(tiny_voc_once: Path, workers: int, each: int) -> None:
    words = ("attend.scales=[0.4,1.0,2.0]", f"loader.num_workers={workers}")
    stage = Pipeline(composed(tiny_voc_once, *words)).attention("cam")
    assert stage.model is not None
    loaders = stage.views.loaders(stage.data, stage.model.net, 8)
    assert [one.num_workers for one in loaders] == [each] * 3


def test_one_view_adds_nothing_to_a_record() -> None:
    assert MapViews().key == {}
    assert MapViews().described("class_attention") == "class_attention"
    assert MapViews((1.0, 0.5)).described("f") == "f at scales 1, 0.5"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("attend.scales=[]", r"attend\.scales must be a list of numbers above 0"),
        ("attend.scales=[0,1]", r"attend\.scales must be"),
        ("attend.scales=1.5", r"attend\.scales must be"),
        ("attend.scales=[true]", r"attend\.scales must be"),
        ("attend.flip=1", r"attend\.flip must be true or false, got 1"),
    ],
)
def test_views_out_of_range_are_refused(tiny_voc_once: Path, asked: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pipeline(composed(tiny_voc_once, asked)).attention("cam")


def test_a_data_set_without_another_input_size_is_refused(tiny_voc_once: Path) -> None:
    cfg = composed(tiny_voc_once, "attend.flip=true")
    cfg.data.eval_transform[0].height = cfg.data.eval_transform[0].width = 48
    with pytest.raises(ConfigError, match=r"need a data\.eval_transform that resizes"):
        Pipeline(cfg).attention("cam")
    with open_dict(cfg):
        del cfg["attend"]  # as in an older record
    assert Pipeline(cfg).attention("cam").views.single
