import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.errors import ConfigError, OutputError
from oaa_pl.proxy import boundary_cue
from oaa_pl.proxy.boundary_cue import BoundaryCue
from oaa_pl.proxy.kept_maps import KeptMaps, to_levels


@pytest.fixture
def photo() -> np.ndarray:
    photo = np.random.default_rng(0).integers(60, 90, (32, 40, 3), dtype=np.uint8)
    photo[10:24, 12:28] = (220, 60, 40)
    return photo


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever a saliency is computed, not read."""
    calls: list[int] = []
    original = boundary_cue.boundary_saliency

    def counted(photo: np.ndarray, segments: int, smoothing: float) -> np.ndarray:
        calls.append(segments)
        return original(photo, segments, smoothing)

    monkeypatch.setattr(boundary_cue, "boundary_saliency", counted)
    return calls


def cue(cache: Path | None, segments: int = 40, smoothing: float = 0.01) -> BoundaryCue:
    return BoundaryCue(cache, segments, smoothing)


def kept(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_a_kept_map_equals_a_fresh_one(
    tmp_path: Path, photo: np.ndarray, computed: list[int]
) -> None:
    fresh = cue(None)("a", photo)
    first, again = cue(tmp_path)("a", photo), cue(tmp_path)("a", photo)
    assert len(computed) == 2
    assert np.array_equal(fresh, first)
    assert np.array_equal(fresh, again)
    assert fresh.dtype == again.dtype == np.float32
    assert fresh[12:22, 14:26].mean() > 0.9
    assert [path.name for path in kept(tmp_path)] == ["a.png"]


def test_other_parameters_keep_their_own_maps(tmp_path: Path, photo: np.ndarray) -> None:
    for segments, smoothing in ((40, 0.01), (20, 0.01), (40, 0.02), (40, 0.01)):
        cue(tmp_path, segments, smoothing)("a", photo)
    assert len(kept(tmp_path)) == 3
    assert len({path.parent for path in kept(tmp_path)}) == 3


@pytest.mark.parametrize("change", ["content", "size"])
def test_a_changed_photo_is_noticed(
    tmp_path: Path, photo: np.ndarray, computed: list[int], change: str
) -> None:
    cue(tmp_path)("a", photo)
    other = photo[:, ::-1] if change == "content" else photo[:-2]
    assert np.array_equal(cue(tmp_path)("a", other), cue(None)("a", other))
    assert len(computed) == 3


@pytest.mark.parametrize("damage", ["empty", "half", "text", "one bit", "another picture"])
def test_a_damaged_map_is_made_again(
    tmp_path: Path, photo: np.ndarray, computed: list[int], damage: str
) -> None:
    expected = cue(tmp_path)("a", photo)
    (path,) = kept(tmp_path)
    content = path.read_bytes()
    if damage == "another picture":
        Image.fromarray(photo).save(path)
    else:
        flipped = bytearray(content)
        flipped[content.index(b"IDAT") + 40] ^= 4
        broken = {
            "empty": b"",
            "half": content[: len(content) // 2],
            "text": b"no picture",
            "one bit": bytes(flipped),
        }
        path.write_bytes(broken[damage])
    assert np.array_equal(cue(tmp_path)("a", photo), expected)
    assert len(computed) == 2
    assert path.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_a_named_error(tmp_path: Path, photo: np.ndarray) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"a\.png cannot be written"):
        cue(tmp_path / "file")("a", photo)


def test_worker_processes_can_have_a_copy(tmp_path: Path, photo: np.ndarray) -> None:
    original = cue(tmp_path)
    copy = pickle.loads(pickle.dumps(original))
    assert np.array_equal(original("a", photo), copy("a", photo))


@pytest.mark.parametrize(("segments", "smoothing"), [(0, 0.01), (40, -1.0)])
def test_parameters_out_of_range_are_refused(segments: int, smoothing: float) -> None:
    with pytest.raises(ConfigError, match="segments must be 1 or more"):
        cue(None, segments, smoothing)


@pytest.mark.parametrize("size", [(320, 200), (120, 320), (33, 47)])
def test_a_photo_of_320_px_is_looked_at_as_it_is(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    expected = to_levels(boundary_cue.boundary_saliency(photo, 40, 0.01)) / np.float32(255)
    assert np.array_equal(cue(None)("a", photo), expected)


@pytest.mark.parametrize("size", [(321, 300), (500, 1500), (1300, 1700)])
def test_a_larger_photo_is_looked_at_in_320_px(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    original = boundary_cue.boundary_saliency

    def noted(photo: np.ndarray, segments: int, smoothing: float) -> np.ndarray:
        seen.append(photo.shape)
        return original(photo, segments, smoothing)

    monkeypatch.setattr(boundary_cue, "boundary_saliency", noted)
    photo = np.full((*size, 3), 90, np.uint8)
    height, width = size
    inner = slice(height // 3, 2 * height // 3), slice(width // 3, 2 * width // 3)
    photo[inner] = (220, 60, 40)
    saliency = cue(None)("a", photo)
    assert max(seen[0][:2]) == 320
    assert saliency.shape == size
    assert saliency.dtype == np.float32
    assert saliency[inner].mean() > 0.8
    assert saliency[: height // 6].mean() < 0.1


@pytest.mark.parametrize(("segments", "side"), [(1, 320), (300, 320), (1200, 640)])
def test_more_superpixels_get_more_pixels(
    segments: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def noted(photo: np.ndarray, segments: int, smoothing: float) -> np.ndarray:
        seen.append(max(photo.shape[:2]))
        return np.zeros(photo.shape[:2], np.float32)

    monkeypatch.setattr(boundary_cue, "boundary_saliency", noted)
    cue(None, segments)("a", np.zeros((700, 800, 3), np.uint8))
    assert seen == [side]


def test_the_working_size_hardly_changes_the_saliency_of_a_large_photo() -> None:
    row, column = np.mgrid[:375, :500]
    mask = (row - 200) ** 2 + (column - 230) ** 2 < 100**2
    noise = np.random.default_rng(0).normal(0, 12, (375, 500, 3))
    photo = (np.where(mask[..., None], (200, 60, 50), (70, 130, 80)) + noise).clip(0, 255)
    photo = photo.astype(np.uint8)
    whole = boundary_cue.boundary_saliency(photo, 300, 0.01)
    found = cue(None, 300)("a", photo)
    assert np.abs(found - whole).mean() < 0.03
    assert ((found > 0.5) != (whole > 0.5)).mean() < 0.02


@pytest.mark.parametrize("older", [[], [640]], ids=["the photo's own", "640 px"])
def test_a_map_that_was_once_made_in_another_size_is_made_again(
    tmp_path: Path, computed: list[int], older: list[int]
) -> None:
    photo = np.full((60, 700, 3), 90, np.uint8)
    old = KeptMaps(tmp_path, "boundary", [1, 40, 0.01, *older])
    old("a", photo, lambda photo: np.ones(photo.shape[:2], np.float32))
    assert cue(tmp_path)("a", photo).max() < 1
    assert len(computed) == 1
