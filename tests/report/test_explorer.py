"""What the explorer knows. `test_page_in_browser.py` tests what it does."""

import json
import math
from dataclasses import replace

from tests.report.explored import explored

from oaa_pl.report.explorer import explorer_data, method_key


def test_methods_come_in_the_order_of_the_registry_and_unknown_ones_last() -> None:
    odd = replace(explored(0), layers={"map": {"zeta": "", "cam": "", "alpha": ""}})
    data = explorer_data([odd, explored(1)], ["boat"], {"train": 9})
    assert data is not None
    names = [one["name"] for one in data["methods"]]
    assert names == ["cam", "oaa_plus_hybrid", "alpha", "zeta"]
    assert data["methods"][1]["title"] == "OAA+, hybrid loss"


def test_an_undefined_score_is_left_out_so_that_the_data_are_json() -> None:
    photo = replace(explored(0), scores={"map": {"cam": math.nan, "oaa_mean": 12.345}})
    data = explorer_data([photo], ["boat"], {})
    assert data is not None
    assert data["photos"][0]["scores"] == {"map": {"oaa_mean": 12.3}}
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_without_photos_there_is_no_explorer() -> None:
    assert explorer_data([], ["boat"], {}) is None


def test_photos_of_which_nothing_was_made_yet_are_nothing_to_look_around_in() -> None:
    assert explorer_data([replace(explored(0), layers={"proxy": {}})], ["boat"], {}) is None


def test_the_methods_of_two_runs_are_told_apart() -> None:
    both = {"cam": "", method_key("cam", 1): "", method_key("zeta", 1): "", "oaa_max": ""}
    data = explorer_data([replace(explored(0), layers={"map": both})], ["boat"], {}, ("a", "b"))
    assert data is not None
    found = [(one["name"], one["title"], one["run"]) for one in data["methods"]]
    assert found == [
        ("cam", "CAM · a", 0),
        ("oaa_max", "OAA, maximum · a", 0),
        ("beside/cam", "CAM · b", 1),
        ("beside/zeta", "zeta · b", 1),
    ]
    assert data["runs"] == ["a", "b"]
