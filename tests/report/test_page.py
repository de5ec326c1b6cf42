import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.report.explored import explored
from tests.report.results_rows import LEVEL, made_up_rows

from oaa_pl.errors import OutputError
from oaa_pl.report.curves import IouCurve
from oaa_pl.report.explorer import explorer_data
from oaa_pl.report.grid import PANELS, GridRow, GrowthStrip
from oaa_pl.report.page import ReportData, RunFacts, build_page
from oaa_pl.report.scripts import content_hash

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"


class Page(HTMLParser):
    """Every tag with its attributes, the visible text, and whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


MEASURED = "measured on these maps"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def report(
    seeds: tuple[int, ...] = (0,), text: str = "boat", panels: tuple[str, ...] = PANELS
) -> ReportData:
    facts = RunFacts(
        experiment="toy",
        dataset="synthetic",
        sizes={"train": 1200, "val": 60},
        commit="0123456789abcdef",
        command=f"oaa reproduce data={text}",
        versions={"torch": "2.14.1"},
        seconds={"classifier": 65.0, "segmenter": 4000.0},
        settings={"background cue": text},
    )
    return ReportData(
        title=f"Report {text}",
        facts=facts,
        rows=made_up_rows(seeds),
        curves={
            m: IouCurve([0.0, 0.3, 0.6], [level - 9, level, 2.0]) for m, level in LEVEL.items()
        },
        fixed_threshold=0.3,
        grid=[GridRow(f"{text}-{i}", [text], {n: picture(i) for n in panels}) for i in range(2)],
        growth=[
            GrowthStrip(
                text, text, picture(0), [(epoch, picture(epoch)) for epoch in range(3)], MEASURED
            )
        ],
        classes=[text, "cat"],
        photos=[explored(place, (text,), text) for place in range(3)],
        accepted={seed: [0.2, 0.5] for seed in seeds},
    )


def policy(page: Page) -> str:
    (content,) = (a["content"] for a in page.all("meta") if "http-equiv" in a)
    return content or ""


def allowed(page: Page) -> list[str]:
    """Hashes of the scripts that the content policy allows."""
    return re.findall(r"'(sha256-[^']+)'", policy(page))


def build(data: ReportData, folder: Path) -> Page:
    build_page(data, folder / "report/index.html")
    page = Page((folder / "report/index.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_page_shows_every_part(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    page = build(report(seeds), tmp_path)
    ids = {attributes["id"] for attributes in page.all("h2")}
    assert ids == {
        "methods",
        "effects",
        "curves",
        "accepted",
        "explore",
        "pictures",
        "growth",
        "facts",
    }
    assert len(page.all("img")) == 2 * len(PANELS) + 1 + 3
    for words in (
        "53.9",
        "+8.4",
        "oracle",
        "1,200 images",
        "1 h 07 min",
        "torch 2.14.1",
        "epoch 2",
    ):
        assert words in page.words
    assert ("One seed, so no deviation" in page.words) == (len(seeds) == 1)
    assert ("± 1.5" in page.words) == (len(seeds) == 3)


def test_what_a_map_did_is_what_was_measured_on_it(tmp_path: Path) -> None:
    page = build(report(), tmp_path)
    assert MEASURED in page.words
    text = (Path(__file__).parents[2] / "src/oaa_pl/report/page.html.j2").read_text("utf-8")
    assert not re.search(r"wander|shifts?\b|completed|grows|carry over", text)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = replace(report(text=HOSTILE), curves={HOSTILE: IouCurve([0.1], [5.0])})
    hostile = replace(
        hostile,
        rows=[
            *hostile.rows,
            *(replace(r, method=HOSTILE) for r in hostile.rows if r.method == "cam"),
        ],
        facts=replace(hostile.facts, experiment=HOSTILE, dataset=HOSTILE, commit=HOSTILE),
        grid=[replace(row, panels={HOSTILE: picture(0)}) for row in hostile.grid],
    )
    page = build(hostile, tmp_path)
    ours = build(report(), tmp_path / "ours")
    assert page.all("script") == ours.all("script")
    assert allowed(page) == allowed(ours)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.words.count(HOSTILE) > 10


def test_nothing_is_fetched_from_anywhere(tmp_path: Path) -> None:
    page = build(report(), tmp_path)
    addresses = [a[k] for _, a in page.tags for k in ("src", "href", "srcset", "data") if k in a]
    assert addresses
    assert all(address and address.startswith("data:image/jpeg;base64,") for address in addresses)
    text = (tmp_path / "report/index.html").read_text()
    # Names of formats (the schema of Vega-Lite, XML's name spaces) are no addresses to fetch.
    shown = re.sub(r"<script.*?</script>|<svg.*?</svg>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?:|@import|url\((?!#)", shown)
    assert not re.search(r"<image|<use|(href|src)=", "".join(re.findall(r"<svg.*?</svg>", text)))
    assert allowed(page) != []
    assert policy(page).startswith(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    )


def test_the_policy_allows_exactly_the_scripts_of_the_page(tmp_path: Path) -> None:
    page = build(report(), tmp_path)
    text = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 4
    assert allowed(page) == [content_hash(script) for script in scripts]
    others = [one["type"] for one in page.all("script") if one]
    assert others == ["application/json"] * 2


def test_the_page_has_no_script_where_it_has_nothing_to_look_around_in(tmp_path: Path) -> None:
    page = build(replace(report(), photos=(), curves={}, accepted={}), tmp_path)
    assert page.all("script") == []
    assert policy(page) == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_without_a_script_the_explorer_is_hidden_and_the_charts_are_drawn(tmp_path: Path) -> None:
    build(report(), tmp_path)
    text = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert re.search(r'<section class="explorer"[^>]* hidden>', text)
    charts = re.findall(r'data-chart="(\w+)"><svg', text)
    assert charts == ["curves", "accepted"]


def test_the_data_of_the_explorer_are_those_given(tmp_path: Path) -> None:
    data = report(text=HOSTILE)
    build(data, tmp_path)
    text = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    (found,) = re.findall(r'id="explorer-data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(found) == explorer_data(data.photos, data.classes, data.facts.sizes)
    assert "<" not in found


def test_every_picture_says_what_it_shows(tmp_path: Path) -> None:
    alts = [attributes["alt"] for attributes in build(report(), tmp_path).all("img")]
    assert "CAM of boat-0 (boat)" in alts
    assert "cumulative map of boat in boat after epoch 2" in alts
    assert all(alts)


def test_ids_are_unique_and_every_reference_to_one_exists(tmp_path: Path) -> None:
    page = build(report(), tmp_path)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [a["aria-labelledby"] or "" for _, a in page.tags if "aria-labelledby" in a]
    assert {name for label in labels for name in label.split()} <= set(ids)


def test_without_truth_there_is_no_truth_panel(tmp_path: Path) -> None:
    page = build(replace(report(panels=PANELS[:-1]), photos=()), tmp_path)
    assert "truth" not in page.words
    assert len(page.all("img")) == 2 * (len(PANELS) - 1) + 1 + 3


def test_an_image_that_lacks_one_panel_keeps_its_row(tmp_path: Path) -> None:
    data = report()
    one = replace(data.grid[0], panels={"photo": picture(0)})
    page = build(replace(data, grid=[one, data.grid[1]]), tmp_path)
    assert len(page.all("img")) == 1 + len(PANELS) + 1 + 3
    assert page.words.count("none") >= len(PANELS) - 1


def test_parts_without_data_are_left_out(tmp_path: Path) -> None:
    data = replace(
        report(),
        rows=made_up_rows(methods=("cam",)),
        curves={},
        fixed_threshold=None,
        grid=(),
        growth=(),
        classes=(),
        photos=(),
        accepted={},
        facts=RunFacts("toy", "synthetic", {}, "unknown", "oaa report"),
    )
    page = build(data, tmp_path)
    assert {attributes["id"] for attributes in page.all("h2")} == {"methods", "facts"}
    assert page.words.count("not in this run") == 4


@pytest.mark.parametrize(("dataset", "foreign"), [("synthetic", True), ("voc12", False)])
def test_the_page_says_when_the_paper_used_another_data_set(
    tmp_path: Path, dataset: str, foreign: bool
) -> None:
    rows = [replace(row, dataset=dataset) for row in made_up_rows()]
    page = build(replace(report(), rows=rows), tmp_path)
    assert ("is another data set" in page.words) == foreign


def test_the_same_data_make_the_same_bytes(tmp_path: Path) -> None:
    build_page(report(), tmp_path / "a.html")
    build_page(report(), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_pictures_shrink_until_the_page_keeps_its_limit(tmp_path: Path) -> None:
    big = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    data = replace(report(), grid=[GridRow("a", [], dict.fromkeys(PANELS, big))])
    data = replace(data, growth=(), photos=(), curves={}, accepted={})
    build_page(data, tmp_path / "index.html", max_bytes=200_000)
    assert (tmp_path / "index.html").stat().st_size <= 200_000
    with pytest.raises(OutputError, match="show fewer images"):
        build_page(data, tmp_path / "index.html", max_bytes=2_000)


def test_a_report_without_results_has_the_pictures_and_says_why(tmp_path: Path) -> None:
    build_page(replace(report(), rows=[]), tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text()
    assert "No true masks, no scores" in text
    assert "Methods beside the paper" not in text
    assert "data:image/" in text
