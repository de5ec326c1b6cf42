"""What the page's scripts do, in Chromium without a network: how a reader uses the explorer."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.report.explored import explored
from tests.report.test_charts import table
from tests.report.test_page import HOSTILE, report

from oaa_pl.report.page import build_page

SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of eight photos: CAM scores 10 to 80, OAA+ 60; names try to be scripts."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    photos = [explored(place, (("cat", HOSTILE)[place % 2],), HOSTILE) for place in range(8)]
    data = replace(report(text=HOSTILE), photos=photos, by_class=table(HOSTILE))
    build_page(data, path)
    return path


@pytest.fixture(params=["desktop", pytest.param("phone", marks=pytest.mark.slow)])
def page(browser: Any, path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page as it was opened. No test may end with a message in the console."""
    context = browser.new_context(viewport=SIZES[request.param], offline=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    page.goto(path.as_uri())
    page.wait_for_selector(".vega-embed svg")
    yield page
    assert faults == []
    context.close()


def choose(page: Any, control: str, value: str) -> None:
    page.locator(f"select[data-control={control}]").select_option(value)


def listed(page: Any) -> list[int]:
    """Numbers of the photos in the gallery, in order."""
    names = page.locator(".gallery button span:first-of-type").all_text_contents()
    return [int(name.rpartition("-")[2]) for name in names]


def shown(page: Any) -> int:
    names = page.locator(".gallery [aria-current=true] span:first-of-type").all_text_contents()
    return int(names[0].rpartition("-")[2])


def sources(page: Any, side: str, layer: str) -> list[str]:
    images = page.locator(f"[data-side={side}] [data-layer={layer}]").all()
    return [image.get_attribute("src") for image in images]


def test_photos_are_sorted_and_filtered(page: Any) -> None:
    assert listed(page) == [*range(8)]
    choose(page, "b", "cam")
    choose(page, "order", "best")
    assert listed(page) == [7, 6, 5, 4, 3, 2, 1, 0]
    assert shown(page) == 7
    choose(page, "tag", "cat")
    assert listed(page) == [6, 4, 2, 0]
    page.locator("[data-control=most]").fill("50")
    assert listed(page) == [4, 2, 0]
    assert page.locator("[data-output=count]").text_content() == "3 of 8 photos"
    choose(page, "tag", HOSTILE)
    choose(page, "order", "worst")
    assert listed(page) == [1, 3]


def test_photos_are_sorted_by_the_difference_of_two_methods(page: Any) -> None:
    choose(page, "order", "loss")  # from CAM, 10 to 80, to OAA+, 60
    assert listed(page) == [7, 6, 5, 4, 3, 2, 1, 0]
    choose(page, "which", "lost")
    assert listed(page) == [7, 6]
    choose(page, "which", "gained")
    assert listed(page) == [4, 3, 2, 1, 0]
    row = page.locator(".scores tbody tr").first.locator("td").all_text_contents()
    assert row == ["50.0", "60.0", "+10.0"]


def test_the_layer_that_is_scored_is_the_one_that_is_seen(page: Any) -> None:
    choose(page, "layer", "proxy")
    assert len(sources(page, "b", "proxy")) == 1
    assert sources(page, "b", "map") == []


def test_photos_without_the_score_are_counted(page: Any) -> None:
    choose(page, "layer", "prediction")
    assert "8 without this score" in page.locator("[data-output=count]").text_content()


def test_each_side_shows_its_own_method_and_layers_have_an_opacity(page: Any) -> None:
    assert len(sources(page, "a", "map")) == len(sources(page, "b", "map")) == 1
    assert sources(page, "a", "map") != sources(page, "b", "map")
    choose(page, "a", "oaa_plus_hybrid")
    assert sources(page, "a", "map") == sources(page, "b", "map")
    page.locator("[data-opacity=truth]").fill("40")
    truth = page.locator("[data-side=b] [data-layer=truth]")
    assert truth.evaluate("one => getComputedStyle(one).opacity") == "0.4"
    page.locator("[data-opacity=map]").fill("0")
    assert sources(page, "a", "map") == []
    assert page.locator("[data-opacity=prediction]").is_disabled()


def test_maps_are_coloured_from_dark_to_light(page: Any) -> None:
    for layer, opacity in (("photo", "0"), ("map", "100")):
        page.locator(f"[data-opacity={layer}]").fill(opacity)
    image = page.locator("[data-side=b] [data-layer=map]")
    assert "heat-colours" in image.evaluate("one => getComputedStyle(one).filter")
    stage = page.locator("[data-part=stage]").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(stage)).convert("RGB")).astype(int)
    assert (abs(pixels[..., 0] - pixels[..., 2]) > 60).mean() > 0.2  # a grey map has no such pixel


def test_the_divider_is_moved_by_keys_and_by_the_pointer(page: Any) -> None:
    stage = page.locator("[data-part=stage]")
    cut = "one => one.style.getPropertyValue('--cut')"
    page.locator("[data-control=divider]").focus()
    page.keyboard.press("ArrowRight")
    assert stage.evaluate(cut) == "51%"
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.6 * box["height"])
    assert 20 <= int(stage.evaluate(cut).rstrip("%")) <= 30


def test_a_map_is_played_through_the_epochs(page: Any) -> None:
    own = sources(page, "a", "map")
    slider, play = page.locator("[data-control=epoch]"), page.locator("[data-part=play]")
    slider.fill("0")
    first = sources(page, "a", "map")
    assert "after epoch 1" in page.locator("[data-output=epoch]").text_content()
    slider.fill("1")
    assert len({*own, *first, *sources(page, "a", "map")}) == 3
    slider.fill("2")
    play.click()
    assert play.text_content() == "Pause"
    page.locator("[data-part=play]", has_text="Play").wait_for()
    assert sources(page, "a", "map") == own
    page.locator("[data-step='1']").click()
    assert not play.is_visible()  # the second photo was not watched


def test_the_gallery_is_one_stop_of_the_tab_key_and_arrows_move_in_it(page: Any) -> None:
    assert page.locator(".gallery button[tabindex='0']").count() == 1
    page.locator(".gallery [aria-current=true]").focus()
    page.keyboard.press("ArrowRight")
    assert shown(page) == 1
    page.keyboard.press("End")
    assert shown(page) == 7
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    assert page.locator("[data-step='1']").is_disabled()


def test_charts_tell_their_values_where_the_pointer_is(page: Any) -> None:
    for chart, words in (("curves", "CAM"), ("accepted", "epoch"), ("classes", "IoU")):
        figure = page.locator(f"[data-chart={chart}] .vega-embed svg")
        figure.scroll_into_view_if_needed()
        where = figure if chart != "classes" else figure.locator(".mark-rect path").first
        if chart == "classes":
            where.hover()
        else:
            box = where.bounding_box()
            page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
        tip = page.locator("#vg-tooltip-element.visible")
        tip.wait_for()
        assert words in tip.text_content()
        page.mouse.move(0, 0)
        page.wait_for_selector("#vg-tooltip-element.visible", state="detached")


def test_names_stay_text_and_nothing_is_wider_than_the_window(page: Any) -> None:
    assert HOSTILE in page.locator("[data-output=caption]").text_content()
    assert page.evaluate("[...document.images].every(image => image.src.startsWith('data:'))")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_without_scripts_the_page_is_still_complete(browser: Any, path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert not page.locator("#explorer").is_visible()
    assert page.locator("[data-chart=curves] svg").is_visible()
    assert page.locator("table.grid img").first.is_visible()
    context.close()


def test_a_printed_page_has_no_controls(browser: Any, path: Path) -> None:
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".vega-embed svg")
    page.emulate_media(media="print")
    assert page.locator("[data-part=stage]").is_visible()
    for hidden in (".controls", ".gallery", ".opacity", ".steps"):
        assert not page.locator(hidden).is_visible()
    page.close()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_an_audit_of_accessibility_finds_nothing(browser: Any, path: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    # The audit is a script of its own, which the page's policy would forbid.
    page = browser.new_page(bypass_csp=True, color_scheme=scheme)
    page.goto(path.as_uri())
    page.wait_for_selector(".vega-embed svg")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []
    page.close()
