"""The registry of methods."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.report.test_page import report

from oaa_pl.errors import ConfigError
from oaa_pl.report.curves import IouCurve
from oaa_pl.report.methods import method_of, methods, read_methods_from
from oaa_pl.report.page import build_page
from oaa_pl.report.paper import title_of

NEW = """
name: noisy_or
title: OAA, noisy-or
short: noisy-or
source: store
row: 4
light: "#112233"
dark: "#445566"
"""


@pytest.fixture(autouse=True)
def ours_alone_afterwards() -> Iterator[None]:
    yield
    read_methods_from([])


def test_every_loss_of_a_method_is_an_option_of_the_configuration() -> None:
    conf = Path(__file__).parents[2] / "conf/loss"
    assert {one.loss for one in methods().values() if one.loss} == {p.stem for p in conf.iterdir()}


def test_every_store_that_the_configuration_feeds_is_a_method() -> None:
    conf = Path(__file__).parents[2] / "conf/fusion"
    fed = {name for path in conf.iterdir() for name in OmegaConf.load(path).get("stores", {})}
    assert fed == {one.name for one in methods().values() if one.source == "store"}


def test_a_file_of_the_users_own_is_a_method_in_its_row(tmp_path: Path) -> None:
    (tmp_path / "noisy_or.yaml").write_text(NEW)
    read_methods_from([tmp_path, tmp_path / "missing"])
    assert method_of("noisy_or").light == "#112233"
    assert title_of("noisy_or-20pc") == "OAA, noisy-or (20 %)"
    in_order = [name for name, one in methods().items() if one.row]
    assert (
        in_order.index("oaa_max") < in_order.index("noisy_or") < in_order.index("oaa_plus_hybrid")
    )
    read_methods_from([])
    assert "noisy_or" not in methods()


def test_the_page_colours_a_method_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "noisy_or.yaml").write_text(NEW)
    read_methods_from([tmp_path])
    curves = {"noisy_or": IouCurve([0.1, 0.2], [30.0, 31.0])}
    build_page(replace(report(), curves=curves), tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text()
    assert "--method-noisy_or: #112233;" in text
    assert "--method-noisy_or: #445566;" in text
    assert "OAA, noisy-or" in text


def test_a_methods_name_changes_no_other_colour_of_the_page(tmp_path: Path) -> None:
    build_page(report(), tmp_path / "before.html")
    (tmp_path / "paper.yaml").write_text(NEW.replace("name: noisy_or", "name: paper"))
    read_methods_from([tmp_path])
    build_page(report(), tmp_path / "after.html")
    before, after = (
        re.findall(r"--paper: [^;]*;", (tmp_path / name).read_text())
        for name in ("before.html", "after.html")
    )
    assert before == after


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: store", "source: magic", "source must be like .* got 'magic'"),
        ("source: store", "source: integral", "of source integral needs a loss"),
        ("title: OAA, noisy-or", "", "a method needs title"),
        ("row: 4", "column: 4", "a method has no 'column'; it has name, title"),
        ("name: noisy_or", "name: other", "name must be that of the file, got 'other'"),
        ('light: "#112233"', "light: red;}", "light must be like .* got 'red;}'"),
        ("row: 4", "row: [", "is not a method"),
    ],
)
def test_a_file_that_is_not_a_method_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in NEW
    (tmp_path / "noisy_or.yaml").write_text(NEW.replace(old, new))
    read_methods_from([tmp_path])
    with pytest.raises(ConfigError, match=message):
        methods()


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"one of cam, oaa_mean, .* got 'camm'"):
        method_of("camm")
