from pathlib import Path

import pytest

import oaa_pl.report
from oaa_pl.report.scripts import chart_library, own_script

SCRIPTS = sorted(path.name for path in Path(oaa_pl.report.__file__).parent.glob("*.js"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_writes_no_html_asks_for_nothing_and_is_short(name: str) -> None:
    script = own_script(name)
    assert script.startswith("//")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "fetch(",
                 "XMLHttpRequest", "eval(", "Function(", "http:", "https:"):  # fmt: skip
        assert word not in script
    assert len(script.splitlines()) <= 250


@pytest.mark.parametrize("script", [chart_library(), *map(own_script, SCRIPTS)])
def test_no_script_ends_its_own_tag(script: str) -> None:
    assert "</script" not in script.lower()
    assert "<!--" not in script


def test_the_library_leaves_room_for_the_photos() -> None:
    assert 100_000 < len(chart_library()) < 1_500_000
