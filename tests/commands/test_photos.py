"""The whole way of a practitioner: awkward photos and a table of tags, to masks of new photos."""

import json
import logging
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tests.commands.tiny import files, oaa, require_refusal
from tests.conftest import draw
from torch import Tensor, nn

from oaa_pl.config.compose import register
from oaa_pl.config.methods import chosen_method
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.errors import ConfigError
from oaa_pl.files.installed import root_of
from oaa_pl.nets.inference import SegmentPhoto
from oaa_pl.proxy.palette import load_label
from oaa_pl.stages.pipeline import Pipeline
from oaa_pl.stages.views import views_of

ORIENTATION = 0x0112

# Name, size (H, W), VOC ids of what is drawn; ids 8 and 15 are a red and a blue block.
BLANKS = {
    "my photo.jpg": ((60, 80), (8,)),
    "Straße/Höhle (1).JPG": ((80, 60), (15,)),
    "sub folder/deep/ä b.png": ((64, 64), (8, 15)),
    "sub folder/my photo.jpg": ((70, 90), (15, 8)),
    "turned.jpg": ((60, 90), (8,)),
    "a,b.webp": ((64, 72), (15,)),
}
NO_BLANKS = {name.replace(" ", "_"): value for name, value in BLANKS.items()}
Photos = dict[str, tuple[tuple[int, int], tuple[int, ...]]]

TOY = (
    "net=small",
    "segmenter=paper",
    "net.attention.trunk.module.widths=[4,4,8]",
    "net.segmenter.trunk.module.widths=[4,4,8]",
    "net.attention.hidden=8",
    "net.segmenter.hidden=8",
    "trainer.precision=32-true",
    "classifier.optimizer.lr=0.02",
    "classifier.least_steps=0",
    "integral.least_steps=0",
    "segmenter.least_steps=0",
    "label.workers=1",
    "report.images=2",
)


def save(path: Path, size: tuple[int, int], ids: tuple[int, ...], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = Image.fromarray(draw(size, ids, seed)[0])
    if path.name == "turned.jpg":  # as a camera held upright stores it
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        photo.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    else:
        photo.save(path)


@pytest.fixture
def mine(tmp_path: Path) -> Callable[[Photos, str], Path]:
    """Makes the folder of photos, with a broken one and a text file, and the table beside it."""

    def make(photos: Photos, plant: str) -> Path:
        folder = tmp_path / "my photos"
        for seed, (name, (size, ids)) in enumerate(photos.items()):
            save(folder / name, size, ids, seed)
        (folder / "broken.jpg").write_bytes((folder / "turned.jpg").read_bytes()[:200])
        (folder / "notes.txt").write_text("no photo")
        tags = {8: "person", 15: plant}
        rows = [f'"{name}",{";".join(tags[i] for i in ids)}' for name, (_, ids) in photos.items()]
        table = "\n".join(["image,tags", *rows]) + "\n"
        (tmp_path / "my tags.csv").write_text(table, encoding="utf-8")
        return folder

    return make


def where(folder: Path) -> tuple[str, ...]:
    return (
        "experiment=photos", f"data.root='{folder}'",
        f"data.tag_file='{folder.parent / 'my tags.csv'}'",
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("photos", "plant"),
    [(NO_BLANKS, "plant"), (BLANKS, "potted plant")],
    ids=["no blanks", "blanks"],
)
def test_from_photos_and_tags_to_masks_of_new_photos_as_the_command_proposes(
    empty: Path,
    mine: Callable[[Photos, str], Path],
    photos: Photos,
    plant: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = mine(photos, plant)

    def stop(*_: object, **__: object) -> Path:
        raise KeyboardInterrupt

    # The first time somebody reads what it will take, and presses Ctrl-C.
    with monkeypatch.context() as patch, caplog.at_level(logging.INFO):
        patch.setattr("oaa_pl.plan.estimate._WORTH_SAYING", 0.0)
        patch.setattr("oaa_pl.stages.classifier.ClassifierStage.run", stop)
        assert oaa("reproduce", *where(folder), *TOY).status == 130
    assert not files(empty)
    lines = [record.getMessage().strip() for record in caplog.records]
    assert any(re.match("about .* on this machine: ", line) for line in lines), lines
    proposed = [shlex.split(line) for line in lines if line.startswith("oaa reproduce ")]
    assert proposed, lines
    quickest = proposed[-1][2:]
    assert {"data.input_size=160", "data.segmenter_side=350", "data.crop_size=225"} <= {*quickest}

    # Then what it proposed, as typed.
    said = oaa("reproduce", *quickest, "estimate=false")
    assert said.status == 0, said.err
    root = empty / "runs/photos-quicker/seed-0"
    proxy = root / "labels/oaa_plus_hybrid/proxy"
    assert len(list(proxy.glob("*.png"))) == len(photos)
    turned = load_label(next(proxy.glob("turned*.png")))
    assert turned.shape == photos["turned.jpg"][0]  # upright, not as stored
    assert (root.parent / "report/index.html").is_file()

    new = tmp_path / "new photos"
    save(new / "holiday 1.jpg", (90, 120), (8, 15), 100)
    save(new / "Köln/turned.jpg", (60, 90), (15,), 101)
    (new / "broken.jpg").write_bytes(b"no photo")
    said = oaa("predict", *quickest, f"predict.photos='{new}'")
    assert said.status == 0, said.err
    masks = empty / "predictions/masks"
    assert files(masks) == {"holiday 1.jpg.png", "Köln/turned.jpg.png"}
    assert load_label(masks / "Köln/turned.jpg.png").shape == (60, 90)
    names = (empty / "predictions/classes.txt").read_text(encoding="utf-8").splitlines()
    assert names == ["0 background", "1 person", f"2 {plant}"]


def test_a_broken_photo_that_the_table_lists_is_named_before_anything_starts(
    empty: Path, mine: Callable[[Photos, str], Path]
) -> None:
    folder = mine(NO_BLANKS, "plant")
    table = folder.parent / "my tags.csv"
    table.write_text(table.read_text(encoding="utf-8") + "broken.jpg,person\n", encoding="utf-8")
    require_refusal(oaa("reproduce", *where(folder), *TOY), "broken.jpg")
    assert not files(empty)


TOY_LITE = (
    "net.weights=none", "data.input_size=64", "classifier.epochs=1", "classifier.least_steps=0",
    "segmenter.frozen_head.size=64", "segmenter.frozen_head.target=16", "label.workers=1",
    "report.images=2", "estimate=false",
)  # fmt: skip


@pytest.mark.slow
def test_the_network_of_the_experiment_goes_from_tags_to_masks(
    empty: Path, mine: Callable[[Photos, str], Path]
) -> None:
    pytest.importorskip("timm", reason="needs the extra 'lite'")
    folder = mine(BLANKS, "potted plant")
    said = oaa("reproduce", *where(folder), *TOY_LITE)
    assert said.status == 0, said.err
    stages = Path("runs/photos/seed-0")
    head = stages / "segmenter/oaa_max-frozen_head"
    trunk = OmegaConf.load(head / "config.yaml").net.segmenter.trunk
    assert trunk._target_ == "oaa_pl.nets.lite.EfficientNetLiteTrunk"
    assert json.loads((head / "stage.json").read_text())["made_from"]["segmenter"]["epochs"] == 48
    said = oaa("predict", *where(folder), *TOY_LITE, f"predict.photos='{folder}'")
    assert said.status == 0, said.err
    assert load_label(Path("predictions/masks/my photo.jpg.png")).shape == (60, 80)


@pytest.mark.parametrize(
    ("net", "method", "rate", "fast"),
    [("efficientnet_lite0", "oaa_max", 3e-3, None), ("vgg16", "oaa_plus_hybrid", 1e-4, None)],
)
def test_what_depends_on_the_network_changes_with_it(
    net: str, method: str, rate: float, fast: str | None
) -> None:
    words = ("experiment=photos", "data.root=x", "data.tag_file=y")
    cfg = composed(*words, f"net={net}")
    assert (cfg.net.name, chosen_method(cfg).name) == (net, method)
    assert (cfg.segmenter.optimizer.lr, cfg.segmenter.optimizer.fast) == (rate, fast)
    assert composed(*words, f"net={net}", "segmenter.optimizer.lr=3").segmenter.optimizer.lr == 3
    elsewhere = composed("experiment=voc12", f"net={net}")
    assert elsewhere.segmenter.optimizer.lr == 1e-3


@pytest.mark.parametrize("size", [
    (375, 500), pytest.param((3000, 4000), marks=pytest.mark.slow), (400, 300), (90, 160),
])  # fmt: skip
def test_photos_are_predicted_at_the_scale_and_shape_that_they_are_trained_at(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many pixels of the network's input a pixel of the photo becomes, across and down."""
    cfg = composed("experiment=photos", "data.root=x", "data.tag_file=y", "segmenter=paper")
    height, width = size
    transform = ViewTransform(instantiate(cfg.data.segmenter_train_transform), (0,) * 3, (1,) * 3)
    photo = np.zeros((height, width, 3), np.uint8)
    trained = []
    for seed in range(25):
        _, view, _ = transform.augment(photo, (seed,))
        # Half the input's side times what the view stretches half the photo's side to.
        across, down = (
            cfg.data.crop_size * abs(view[i, i]) / side for i, side in ((0, width), (1, height))
        )
        trained.append((across, down))
    net = Sides()
    SegmentPhoto(net, (0,) * 3, (1,) * 3, multiple=8, **views_of(cfg)).label(photo)
    ((rows, columns),) = net.sides
    predicted = columns / width, rows / height
    for place in (0, 1):
        each = [one[place] for one in trained]
        assert min(each) < predicted[place] < max(each)
        assert predicted[place] == pytest.approx(np.mean(each), rel=0.15)


class Sides(nn.Module):
    """Remembers what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, 2, 8, 8)
        self.sides: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> Tensor:
        self.sides.append((image.shape[2], image.shape[3]))
        return self.cells(image)


def composed(*words: str) -> DictConfig:
    register()
    with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
        return compose("config", list(words))


def test_the_experiment_starts_with_what_the_tuning_found_to_work() -> None:
    photos, tuned = (
        composed(f"experiment={name}", "data.root=x", *more)
        for name, more in (("photos", ["data.tag_file=y", "net=vgg16"]), ("table2_voc320", []))
    )
    for key in (
        "integral.init", "integral.attention", "integral.optimizer", "segmenter.init",
        "segmenter.optimizer",
    ):  # fmt: skip
        assert OmegaConf.select(photos, key) == OmegaConf.select(tuned, key), key


@pytest.mark.parametrize(("images", "epochs"), [(50, 60), (300, 15), (10_582, 15), (4, 600)])
def test_few_photos_get_more_epochs_so_that_there_are_enough_steps(
    images: int, epochs: int
) -> None:
    cfg = composed(
        "experiment=photos", "net=vgg16", "data.root=x", "data.tag_file=y",
        "classifier.least_steps=600",
    )  # fmt: skip
    planned = Pipeline(cfg).classifier().planned
    assert planned.for_images(images, "classifier").epochs == epochs  # in batches of five
    assert planned.epochs == 15


def test_without_that_key_nothing_changes() -> None:
    cfg = composed("experiment=table2_voc320", "data.root=x")
    pipeline = Pipeline(cfg)
    for stage in (pipeline.classifier(), pipeline.integral(), pipeline.segmenter("oaa_max")):
        assert stage.planned.for_images(3, stage.part) == stage.planned


@pytest.mark.parametrize("least", ["-1", "many", "2.5", "true"])
@pytest.mark.parametrize(
    ("segmenter", "place"), [("paper", "segmenter"), ("frozen_head", "segmenter.frozen_head")]
)
def test_least_steps_that_are_no_number_are_refused(segmenter: str, place: str, least: str) -> None:
    words = (f"segmenter={segmenter}", f"{place}.least_steps={least}")
    cfg = composed("experiment=photos", "data.root=x", "data.tag_file=y", *words)
    stage = Pipeline(cfg).segmenter("oaa_max")
    with pytest.raises(ConfigError, match=rf"{place}\.least_steps must be a whole number or null"):
        stage.planned.for_images(50, stage.place)
