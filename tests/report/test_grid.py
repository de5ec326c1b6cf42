from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.errors import ConfigError, OutputError
from oaa_pl.report.grid import PANELS, GridRow, panel_names, save_contact_sheet


def noise(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grid(images: int = 3, names: tuple[str, ...] = PANELS) -> list[GridRow]:
    return [
        GridRow(f"<script>{i}\n", ["cat & dog"], {name: noise(i) for name in names})
        for i in range(images)
    ]


def test_panels_stand_in_the_order_of_the_recipe_whatever_order_they_come_in() -> None:
    rows = grid(1, ("truth", "mine", "CAM", "photo"))
    assert panel_names(rows) == ("photo", "CAM", "truth", "mine")
    assert panel_names([]) == ()


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg"])
def test_a_contact_sheet_of_noise_keeps_its_limit(tmp_path: Path, name: str) -> None:
    save_contact_sheet(tmp_path / name, grid(4), max_bytes=200_000)
    size = (tmp_path / name).stat().st_size
    assert size <= 200_000
    with Image.open(tmp_path / name) as image:
        assert image.width > 8 * 48
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_contact_sheet(tmp_path / name, grid(1))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_missing_panel_leaves_its_place_empty(tmp_path: Path) -> None:
    rows = [*grid(1), GridRow("b", [], {"photo": noise(1)})]
    save_contact_sheet(tmp_path / "sheet.png", rows, max_bytes=1_000_000)
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    height, width = sheet.shape[:2]
    below = sheet[height // 2 + 30 : height - 30, width // 4 :]
    assert (below == 255).all()


def test_a_sheet_without_rows_or_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one image or more"):
        save_contact_sheet(tmp_path / "sheet.png", [])
    with pytest.raises(ConfigError, match=r"\.png or \.jpg, got sheet\.gif"):
        save_contact_sheet(tmp_path / "sheet.gif", grid(1))


def test_a_limit_that_cannot_be_kept_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="do not fit 100 bytes"):
        save_contact_sheet(tmp_path / "sheet.png", grid(1), max_bytes=100)
    assert list(tmp_path.iterdir()) == []
