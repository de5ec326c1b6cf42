"""Two runs on one page, odd runs, and hostile names, in Chromium without a network."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cases import some_quick
from tests.report.explored import explored
from tests.report.test_charts import table
from tests.report.test_page import report

from oaa_pl.report.explorer import ExploredPhoto, method_key
from oaa_pl.report.page import ReportData, build_page

RUNS = ("a/seed-0", "b/seed-1")
NAMES = {
    "a script's end": "</script><script>alert(1)</script>\"'&amp;&<!--",
    "right to left": "\u202eשלום",
    "an emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f431",
    "200 letters": "x" * 200,
    "200 letters in words": "long name " * 20,
}
Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    """Opens a page of the data. No test may end with a message in the console."""
    faults: list[str] = []
    contexts: list[Any] = []

    def opened(data: ReportData, width: int = 1280) -> Any:
        build_page(data, tmp_path / "index.html")
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.goto((tmp_path / "index.html").as_uri())
        if data.curves:
            page.wait_for_selector(".vega-embed svg")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def of_both(place: int) -> ExploredPhoto:
    """A photo of two runs: in the second one CAM is 5 points better; other photos were watched."""
    one, other = explored(place), explored(place + 100)
    layers = {
        layer: {**by, **{method_key(name, 1): p for name, p in other.layers[layer].items()}}
        for layer, by in one.layers.items()
    }
    scores = {
        layer: {**by, **{method_key(name, 1): value + 5 for name, value in by.items()}}
        for layer, by in one.scores.items()
    }
    epochs = [one.epochs[0], explored(0).epochs[0][:1] if place == 1 else []]
    return replace(one, layers=layers, scores=scores, epochs=epochs)


def two_runs() -> ReportData:
    photos = [of_both(place) for place in range(4)]
    return replace(report(), photos=photos, runs=RUNS, by_class=table())


def choose(page: Any, control: str, value: str) -> None:
    page.locator(f"select[data-control={control}]").select_option(value)


def source(page: Any, side: str) -> str:
    return str(page.locator(f"[data-side={side}] [data-layer=map]").get_attribute("src"))


def test_left_and_right_offer_the_methods_of_both_runs(opened: Opened) -> None:
    page = opened(two_runs())
    for side in ("a", "b"):
        options = page.locator(f"select[data-control={side}] option").all_text_contents()
        assert options == [
            "CAM · a/seed-0", "OAA+, hybrid loss · a/seed-0",
            "CAM · b/seed-1", "OAA+, hybrid loss · b/seed-1",
        ]  # fmt: skip
    marks = [page.locator(f".mark-{side}").text_content() for side in ("a", "b")]
    assert marks == ["OAA+, hybrid loss · a/seed-0", "OAA+, hybrid loss · b/seed-1"]
    words = page.locator("#explorer p").first.text_content()
    assert "a/seed-0 is the run of this page, b/seed-1 a second one" in words


def test_the_divider_has_one_run_on_each_side(opened: Opened) -> None:
    page = opened(two_runs())
    first = of_both(0)
    assert source(page, "a") == first.layers["map"]["oaa_plus_hybrid"]
    assert source(page, "b") == first.layers["map"]["beside/oaa_plus_hybrid"]
    choose(page, "a", "beside/cam")
    assert source(page, "a") == first.layers["map"]["beside/cam"]
    choose(page, "a", "cam")
    choose(page, "b", "beside/cam")
    row = page.locator(".scores tbody tr").first.locator("td").all_text_contents()
    assert row == ["10.0", "15.0", "+5.0"]
    assert "Right: CAM · b/seed-1" in page.locator("[data-output=caption]").text_content()


def test_the_epochs_are_those_of_the_left_run(opened: Opened) -> None:
    page = opened(two_runs())
    epochs = page.locator("[data-control=epoch]")
    assert epochs.get_attribute("max") == "2"
    epochs.fill("0")
    assert source(page, "a") == of_both(0).epochs[0][0][1]
    choose(page, "a", "beside/cam")
    assert not epochs.is_visible()  # the second run did not watch this photo
    assert source(page, "a") == of_both(0).layers["map"]["beside/cam"]
    page.locator("[data-step='1']").click()
    assert epochs.get_attribute("max") == "1"
    epochs.fill("0")
    assert source(page, "a") == of_both(1).epochs[1][0][1]
    choose(page, "which", "watched")
    assert page.locator(".gallery button").count() == 2


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_audit_of_a_page_of_two_runs_finds_nothing(
    browser: Any, tmp_path: Path, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    build_page(two_runs(), tmp_path / "index.html")
    # The audit is a script of its own, which the page's policy would forbid.
    page = browser.new_page(bypass_csp=True, color_scheme=scheme)
    page.goto((tmp_path / "index.html").as_uri())
    page.wait_for_selector(".vega-embed svg")
    for summary in page.locator("details.values summary").all():
        summary.click()
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []
    page.close()


@pytest.mark.parametrize("chart", ["curves", "accepted"])
def test_the_values_of_a_chart_are_opened_by_a_key(opened: Opened, chart: str) -> None:
    page = opened(two_runs())
    section = page.locator(f"section[aria-labelledby={chart}]")
    values = section.locator("details.values")
    assert not values.locator("table").is_visible()
    values.locator("summary").focus()
    page.keyboard.press("Enter")
    assert values.locator("table").is_visible()
    page.keyboard.press("Tab")
    assert "Values: " in page.evaluate("document.activeElement.getAttribute('aria-label')")
    rows = values.locator("tbody tr").all_text_contents()
    if chart == "accepted":
        assert ["".join(row.split()) for row in rows] == ["120.0", "250.0"]
    else:
        assert len(rows) == 3
        assert values.locator("tbody th").all_text_contents() == ["0.00", "0.30", "0.60"]
    page.emulate_media(media="print")
    assert not values.is_visible()
    assert section.locator("svg").first.is_visible()


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "what",
    [
        "a script's end",
        "right to left",
        "200 letters",
        pytest.param("an emoji", marks=pytest.mark.slow),
        pytest.param("200 letters in words", marks=pytest.mark.slow),
    ],
)
def test_any_name_stays_text_inside_the_page(opened: Opened, what: str, width: int) -> None:
    name = NAMES[what]
    photos = [replace(of_both(place), tags=[name], image_id=name) for place in range(2)]
    named = {"photos": photos, "classes": [name], "by_class": table(name), "runs": (name, "b")}
    data = replace(two_runs(), **named)
    page = opened(data, width)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert name.split() == page.locator(".gallery button span").first.text_content().split()
    choose(page, "tag", name)
    assert page.locator(".gallery button").count() == 2
    assert page.locator(".mark-a").text_content() == f"OAA+, hybrid loss · {name}"
    assert name in page.locator("[data-output=caption]").text_content()
    assert "right to left" not in what or not turned(page)
    stage, mark = (page.locator(one).bounding_box() for one in (".stage", ".mark-a"))
    assert mark["x"] + mark["width"] <= stage["x"] + stage["width"]


def turned(page: Any) -> bool:
    """Whether the words after a name of the caption begin left of the name."""
    return page.evaluate(
        """() => {
          const [name, words] = document.querySelector("[data-output=caption]").childNodes;
          const range = document.createRange();
          range.setStart(words, 0);
          range.setEnd(words, 2);
          return range.getBoundingClientRect().left < name.getBoundingClientRect().left;
        }"""
    )


def odd_runs() -> dict[str, ReportData]:
    """Runs that lack something."""
    data = replace(report(), by_class=table())
    without_masks = replace(explored(0), truth=None, scores={})
    maps_only = replace(explored(0), layers={"map": explored(0).layers["map"]})
    unwatched = replace(explored(1), epochs=[])
    nothing = {"rows": (), "curves": {}, "by_class": None, "accepted": {}, "grid": (), "growth": ()}
    return {
        "no photo": replace(data, photos=[]),
        "one photo": replace(data, photos=[explored(0)]),
        "no masks": replace(data, **nothing, photos=[without_masks, unwatched]),
        "no segmenter and no labels": replace(data, photos=[maps_only]),
        "one class": replace(data, classes=["boat"], photos=[explored(0), explored(1)]),
        "nothing scored": replace(data, **nothing, photos=[]),
    }


@pytest.mark.parametrize("what", some_quick(odd_runs()))
def test_a_run_that_lacks_something_has_a_page(opened: Opened, what: str) -> None:
    data = odd_runs()[what]
    page = opened(data)
    explorer = page.locator("#explorer")
    assert explorer.is_visible() == bool(data.photos)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    if data.photos:
        assert page.locator(".gallery button").count() == len(data.photos)
        for order in ("worst", "best", "gain", "loss"):
            choose(page, "order", order)
            assert page.locator(".gallery button").count() == len(data.photos)
        choose(page, "layer", "prediction")
        count = page.locator("[data-output=count]").text_content()
        assert f"{len(data.photos)} without this score" in count
