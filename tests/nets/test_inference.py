import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.inference import SegmentPhoto

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)

# Probabilities in float32, of logits that are means over 192 values: 1e-6 at most was seen.
CLOSE = {"rtol": 0, "atol": 1e-5}


class Cells(nn.Module):
    """Two logits of every whole cell of 8 x 8 pixels: background, and brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(4.0))
        self.sides: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> Tensor:
        self.sides.append((image.shape[2], image.shape[3]))
        cells = nn.functional.avg_pool2d(image.mean(dim=1, keepdim=True), 8)
        return self.gain * torch.cat([0 * cells, cells], dim=1)


def segment(net: nn.Module | None = None, **how: object) -> SegmentPhoto:
    return SegmentPhoto(net or Cells(), MEAN, STD, **how)  # type: ignore[arg-type]


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def oracle(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The toy network by hand, on a photo whose sides are whole cells: (2, height, width)."""
    rows, columns = picture.shape[0] // 8, picture.shape[1] // 8
    values = (picture / 255 - np.array(MEAN)) / np.array(STD)
    cells = np.array(
        [
            [values[8 * r : 8 * r + 8, 8 * c : 8 * c + 8].mean() for c in range(columns)]
            for r in range(rows)
        ]
    )
    logit = cv2.resize(4 * cells, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))])


def test_probabilities_are_the_networks_at_the_photos_size() -> None:
    picture = photo(16, 24)
    np.testing.assert_allclose(segment()(picture).numpy(), oracle(picture, 16, 24), **CLOSE)


def test_scales_are_averaged_as_probabilities() -> None:
    picture = photo(16, 32)
    twice = cv2.resize(picture, (64, 32), interpolation=cv2.INTER_LINEAR)
    half = cv2.resize(picture, (16, 8), interpolation=cv2.INTER_AREA)
    expected = [oracle(view, 16, 32) for view in (picture, twice, half)]
    found = segment(scales=(1.0, 2.0, 0.5))(picture)
    np.testing.assert_allclose(found.numpy(), np.mean(expected, axis=0), **CLOSE)


def test_a_mirrored_photo_has_mirrored_probabilities_and_is_averaged_with_it() -> None:
    picture = photo(16, 32, seed=1)

    class FromTheLeft(Cells):
        """Not symmetric: what a cell shows counts for its neighbour on the right."""

        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image).roll(1, dims=3)

    net = FromTheLeft()
    plain, both = segment(net), segment(net, flip=True)
    mirrored = plain(np.ascontiguousarray(picture[:, ::-1])).flip(2)
    assert not torch.allclose(mirrored, plain(picture), atol=1e-2)
    torch.testing.assert_close(both(picture), (plain(picture) + mirrored) / 2, **CLOSE)


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 0.75, 1.0, 1.25, 1.5)])
@pytest.mark.parametrize(("height", "width"), [(375, 500), (333, 499)])
def test_an_edge_stays_where_it_is_in_a_photo_of_any_size(
    height: int, width: int, scales: tuple[float, ...]
) -> None:
    across, down = width - 30, height - 35
    picture = np.zeros((height, width, 3), np.uint8)
    picture[down:, across:] = 255
    net = Cells()
    found = segment(net, scales=scales, multiple=8, flip=True)(picture).argmax(dim=0)
    # Within half a cell of 8 px at scale 0.5, whose cells are 16 px of the photo.
    assert abs(int(found[-1].argmax()) - across) <= 4
    assert abs(int(found[:, -1].argmax()) - down) <= 4
    assert all(side % 8 == 0 for sides in net.sides for side in sides)


def test_without_a_multiple_the_sides_are_the_photos_own() -> None:
    net = Cells()
    segment(net, scales=(1.0, 0.5))(photo(21, 35))
    assert net.sides == [(21, 35), (10, 18)]


def test_the_configured_square_is_what_the_network_sees() -> None:
    net = Cells()
    assert segment(net, size=40, multiple=8)(photo(21, 35)).shape == (2, 21, 35)
    assert net.sides == [(40, 40)]


@pytest.mark.parametrize(("height", "width", "seen"), [
    (60, 100, (24, 40)), (100, 60, (40, 24)), (3000, 4000, (32, 40)), (5, 400, (8, 40)),
])  # fmt: skip
def test_a_long_side_keeps_the_photos_shape(height: int, width: int, seen: tuple[int, int]) -> None:
    net = Cells()
    found = segment(net, size=40, keep_shape=True, multiple=8)(photo(height, width))
    assert found.shape == (2, height, width)
    assert net.sides == [seen]


class Classes(nn.Module):
    """Random logits of many classes in cells of 8 x 8 pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, channels, 8, 8)

    def forward(self, image: Tensor) -> Tensor:
        return 5 * self.cells(image)


def whole_photo(
    net: nn.Module, picture: np.ndarray, scales: tuple[float, ...], flip: bool
) -> Tensor:
    """All classes of the whole photo at once, as plainly as can be."""
    height, width = picture.shape[:2]
    views = []
    for scale in scales:
        side = (8 * max(1, round(width * scale / 8)), 8 * max(1, round(height * scale / 8)))
        smaller = side[0] < width or side[1] < height
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        image = torch.from_numpy(cv2.resize(picture, side, interpolation=how))
        mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
        image = (image.permute(2, 0, 1)[None].float() / 255 - mean) / std
        for mirrored in (False, True)[: 1 + flip]:
            with torch.no_grad():
                seen = image.flip(3) if mirrored else image
                logits = net(seen.to(memory_format=torch.channels_last))
            stretched = nn.functional.interpolate(
                logits, (height, width), mode="bilinear", align_corners=False
            )[0].softmax(0)
            views.append(stretched.flip(2) if mirrored else stretched)
    return torch.stack(views).mean(0)


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.5)])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("values", [2**23, 2**13, 1])
def test_bands_give_what_the_whole_photo_gives(
    scales: tuple[float, ...], flip: bool, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oaa_pl.nets.bands._VALUES", values)
    torch.manual_seed(0)
    net, picture = Classes(21), photo(93, 131, seed=4)
    expected = whole_photo(net, picture, scales, flip)
    found = segment(net, scales=scales, flip=flip, multiple=8)
    torch.testing.assert_close(found(picture), expected, rtol=0, atol=2e-6)
    label, best = found.label(picture), expected.argmax(0).numpy()
    two = expected.topk(2, dim=0).values
    clear = (two[0] - two[1] > 5e-6).numpy()  # elsewhere rounding decides
    assert clear.mean() > 0.999
    np.testing.assert_array_equal(label[clear], best[clear])


def test_a_photo_of_usual_size_is_labelled_as_before_to_the_bit() -> None:
    torch.manual_seed(1)
    net, picture = Classes(21), photo(375, 500, seed=5)
    expected = whole_photo(net, picture, (1.0,), flip=True)
    found = segment(net, flip=True, multiple=8)
    assert torch.equal(found(picture), expected)
    np.testing.assert_array_equal(found.label(picture), expected.argmax(0).numpy())


# Peak memory of a process that runs beside others differs by more than the bound now and then.
@pytest.mark.slow
def test_memory_does_not_grow_with_the_photo_times_the_classes() -> None:
    """The plain way holds 3 megapixels x 120 classes twice or more: 3 GB."""
    peak = peak_of_a_new_process(
        "net = nn.Conv2d(3, 120, 8, 8)\n"
        "SegmentPhoto(net, (.5,) * 3, (.25,) * 3, size=64).label(np.zeros((1500, 2000, 3), 'u1'))"
    )
    assert peak < 2


def peak_of_a_new_process(work: str) -> float:
    """Resident GB of a process that does some work, at most."""
    script = (
        "import resource, sys\nimport numpy as np\nimport torch\nfrom torch import nn\n"
        "from oaa_pl.nets.inference import SegmentPhoto\n"
        f"{work}\npeak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "sys.stdout.write(str(peak / (2**30 if sys.platform == 'darwin' else 2**20)))"
    )
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


@pytest.mark.parametrize("how", [
    {"scales": ()}, {"scales": (1.0, 0.0)}, {"scales": (float("nan"),)},
    {"scales": (float("inf"),)}, {"multiple": 0}, {"size": 0}, {"size": -3},
])  # fmt: skip
def test_what_makes_no_sense_is_refused(how: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"scales|multiple|size"):
        segment(**how)
