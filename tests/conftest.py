"""Fixtures of all tests: a tiny VOC folder, and real material where the machine has it."""

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands.finished_run import again, empty, finished  # noqa: F401  # fixtures of many
from tests.compositions import remembered
from tests.data.tiny_layouts import tiny_coco_once, tiny_imagenet_once  # noqa: F401  # as well

SHARED = Path(os.environ.get("OAA_SHARED", Path(__file__).parents[2] / "shared"))

# VOC's ids: cat 8, dog 12, person 15. An image holds one block of each class.
TINY = {
    "2007_000001": ((48, 64), (8,)),
    "2007_000002": ((64, 40), (12,)),
    "2007_000003": ((40, 40), (15, 8)),
    "2007_000004": ((56, 60), (12, 15)),
    "2007_000005": ((50, 64), (8, 12)),
    "2007_000006": ((64, 64), (15,)),
}
TINY_SPLITS = {"train": tuple(TINY)[:4], "val": tuple(TINY)[4:]}
NAMES = {8: "cat", 12: "dog", 15: "person"}
COLOURS = {8: (220, 60, 40), 12: (40, 200, 60), 15: (50, 70, 230)}


# "cpu": run the tests marked `cuda` on the CPU, to find mistakes in them without a GPU. Tests of
# waits, of pinned memory and of a busy GPU fail then.
STANDING_IN = os.environ.get("OAA_PL_TEST_GPU")

COUNTED = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Callable[[str, int], None]:
    """Adds to a count that is printed at the end: how often a promise was put to the test."""

    def add(what: str, number: int) -> None:
        pytestconfig.stash.setdefault(COUNTED, Counter())[what] += number

    return add


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available() or STANDING_IN:
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@pytest.fixture(scope="session")
def gpu() -> torch.device:
    """The device of the tests marked `cuda`."""
    return torch.device(STANDING_IN or "cuda")


def pytest_collection_finish() -> None:
    # Thousands of tests and modules stay to the end: a collection need not look at them each time,
    # nor after every few hundred objects. Most objects here are in no cycle.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if counted := config.stash.get(COUNTED, Counter()):
        terminalreporter.section("reliability")
        for what, number in sorted(counted.items()):
            terminalreporter.write_line(f"{what}: {number:,}")


@pytest.fixture(autouse=True, scope="session")
def toy_networks_take_one_thread() -> None:
    """They are quicker so, and sums come out equal in every process, under a plain `pytest` too."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def compositions_are_remembered() -> Iterator[None]:
    """Every command composes its configuration; most of them choose the same options."""
    with remembered():
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums over several threads may round in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny_voc(tmp_path: Path) -> Path:
    """Six photos of 40 to 64 px in VOC layout: splits train (4) and val (2), masks, annotations."""
    return save_tiny_voc(tmp_path / "voc")


@pytest.fixture(scope="session")
def tiny_voc_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder for tests that only read it."""
    return save_tiny_voc(tmp_path_factory.mktemp("data") / "voc")


def save_tiny_voc(root: Path) -> Path:
    for folder in ("JPEGImages", "SegmentationClass", "Annotations", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for number, (name, (size, ids)) in enumerate(TINY.items()):
        photo, mask = draw(size, ids, number)
        Image.fromarray(photo).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        save_mask(root / "SegmentationClass" / f"{name}.png", mask)
        (root / "Annotations" / f"{name}.xml").write_text(annotation(ids))
    for split, names in TINY_SPLITS.items():
        lines = "".join(f"{name}\n" for name in names)
        (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(lines)
    return root


@pytest.fixture(scope="session")
def voc2012_320() -> Path:
    """Real VOC photos of at most 320 px, never part of the project."""
    return shared("data/voc2012-320")


@pytest.fixture(scope="session")
def vgg16_weights() -> Path:
    """ImageNet weights of VGG-16's trunk, never part of the project."""
    return shared("weights/vgg16_features.safetensors")


def shared(place: str) -> Path:
    path = SHARED / place
    if not path.exists():
        pytest.skip(f"{place} is not on this machine: set OAA_SHARED to the folder that has it")
    return path


def draw(size: tuple[int, int], ids: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    height, width = size
    photo = np.random.default_rng(seed).integers(90, 130, (height, width, 3), dtype=np.uint8)
    mask = np.zeros(size, dtype=np.uint8)
    for place, label in enumerate(ids):
        left = 4 + place * width // 2
        block = (slice(height // 4, 3 * height // 4), slice(left, left + width // 3))
        photo[block] = COLOURS[label]
        mask[block] = label
    mask[0, :3] = 255
    return photo, mask


def save_mask(path: Path, mask: np.ndarray) -> None:
    image = Image.frombytes("P", mask.shape[::-1], np.ascontiguousarray(mask).tobytes())
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)


def annotation(ids: tuple[int, ...]) -> str:
    objects = "".join(
        f"<object><name>{NAMES[label]}</name><difficult>{place % 2}</difficult>"
        "<part><name>head</name></part></object>"
        for place, label in enumerate(ids)
    )
    return f"<annotation><filename>photo.jpg</filename>{objects}</annotation>"


@pytest.fixture
def stops_at_ctrl_c() -> Iterator[None]:
    """Ctrl-C as a fresh process of Python has it: other tests may have changed
    that, and a process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
