import io

import numpy as np
import pytest
from PIL import Image

from oaa_pl.data.check import Sample
from oaa_pl.errors import ConfigError
from oaa_pl.report.contact_sheet import contact_sheet, jpeg


def sample(name: str = "a", mask: bool = False, size: tuple[int, int] = (120, 192)) -> Sample:
    photo = np.full((*size, 3), 180, np.uint8)
    ids = np.zeros(size, np.uint8)
    ids[20:60, 20:60] = 1
    return Sample(name, ("dog", "cat"), photo, ids if mask else None)


def test_every_photo_is_on_the_sheet() -> None:
    sheet = np.asarray(contact_sheet([sample(str(k)) for k in range(8)]))
    assert (sheet[:, :, 0] == 180).sum() >= 8 * 120 * 192 * 0.99


def test_a_mask_is_laid_over_its_photo_beside_it() -> None:
    plain, masked = (np.asarray(contact_sheet([sample(mask=mask)])) for mask in (False, True))
    assert masked.shape[1] > 1.9 * plain.shape[1]
    right = masked[:, masked.shape[1] // 2 :].astype(int)
    assert (right[..., 0] - right[..., 1] > 40).sum() > 500  # VOC's first colour is red


def test_names_in_any_script_and_of_any_length_are_written() -> None:
    names = ["Höhle 3", "кот", "猫", "x" * 300, "a\nb"]
    sheet = contact_sheet([sample(name, size=(3, 192)) for name in names])
    texts = [np.asarray(sheet.crop((6 + 196 * k, 196, 198 + 196 * k, 211))) for k in range(5)]
    assert all((text < 128).any() for text in texts)


def test_without_a_photo_there_is_no_sheet() -> None:
    with pytest.raises(ConfigError, match="expected one photo or more"):
        contact_sheet([])


def test_the_sheet_is_a_jpeg() -> None:
    with Image.open(io.BytesIO(jpeg(contact_sheet([sample()])))) as image:
        assert image.format == "JPEG"
