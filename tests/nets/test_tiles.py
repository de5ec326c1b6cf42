"""Tiles give the cells that the whole image gives, where the network's field of view is small."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.inference import SegmentPhoto
from oaa_pl.nets.tiles import tiled


class Watched(nn.Module):
    """Cells of 4 pixels; sees 20 pixels (two cells on each side), and notes the sizes it gets."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, classes, 5, padding=2))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, image: Tensor) -> Tensor:
        self.shapes.append(tuple(image.shape))
        return self.layers(image)


@pytest.mark.parametrize(("height", "width"), [(160, 96), (64, 300), (64, 64), (68, 60)])
def test_tiles_give_what_the_whole_image_gives(height: int, width: int) -> None:
    net, image = Watched(), torch.rand(2, 3, height, width)
    with torch.no_grad():
        whole, found = net(image), tiled(net, image, tile=64, multiple=4)
    # float32 sums of 200 values
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)
    assert max(max(shape[2:]) for shape in net.shapes[1:]) <= 64


def test_without_a_tile_the_image_is_one_piece() -> None:
    net = Watched()
    tiled(net, torch.rand(1, 3, 400, 400), tile=None, multiple=4)
    assert net.shapes == [(1, 3, 400, 400)]


def test_cells_that_do_not_divide_a_tile_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"makes 16 cells of 33 pixels.*say tile=null"):
        tiled(nn.Conv2d(3, 2, 2, 2), torch.rand(1, 3, 70, 20), tile=33, multiple=1)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def seeing(net: nn.Module, tile: int | None, **how: object) -> SegmentPhoto:
    return SegmentPhoto(net, (0.5,) * 3, (0.25,) * 3, multiple=4, tile=tile, **how)  # type: ignore[arg-type]


def test_a_large_photo_is_segmented_in_tiles_as_in_one_piece_at_every_scale_and_mirrored() -> None:
    photo, how = picture(150, 230), {"scales": (0.5, 1.0, 1.5), "flip": True}
    net = Watched()
    whole, tiles = seeing(net, None, **how), seeing(net, 64, **how)
    expected, found = whole(photo), tiles(photo)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    clear = (expected.topk(2, dim=0).values.diff(dim=0).abs()[0] > 1e-4).numpy()
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(tiles.label(photo)[clear], whole.label(photo)[clear])


@pytest.mark.parametrize("how", [{}, {"flip": True, "scales": (1.0, 2.0)}, {"size": 48}])
def test_a_batch_of_mixed_sizes_gives_what_each_photo_alone_gives(how: dict[str, object]) -> None:
    photos = [picture(40, 60, 1), picture(60, 40, 2), picture(40, 60, 3), picture(41, 59, 4)]
    net = Watched()
    segment = seeing(net, 2048, **how)
    for photo, seen in zip(photos, segment.see(photos), strict=True):
        [alone] = segment.see([photo])
        # A batch may be summed in another order.
        torch.testing.assert_close(seen.probabilities(), alone.probabilities(), rtol=0, atol=1e-5)
        assert seen.size == photo.shape[:2]


def test_photos_with_one_input_size_are_one_batch_and_no_more_pixels_than_a_tile_has() -> None:
    photos = [picture(40, 60, seed) for seed in range(5)]
    net = Watched()
    seeing(net, 2048).see([*photos, picture(60, 40)])
    assert net.shapes == [(5, 3, 40, 60), (1, 3, 60, 40)]
    net.shapes.clear()
    seeing(net, 80).see(photos)  # 80 x 80 pixels are 2 photos and a half
    assert net.shapes == [(2, 3, 40, 60), (2, 3, 40, 60), (1, 3, 40, 60)]


@pytest.mark.parametrize("tile", [0, -5])
def test_a_tile_without_pixels_is_refused(tile: int) -> None:
    with pytest.raises(ConfigError, match="tile must be a whole number of pixels"):
        seeing(Watched(), tile)
