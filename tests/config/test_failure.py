from pathlib import Path

import pytest
from hydra.errors import InstantiationException, MissingConfigException

from oaa_pl.config.failure import reason_of
from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import BadImageError


def test_an_error_of_a_loader_s_process_is_told_without_its_traceback() -> None:
    text = (
        "Caught BadImageError in DataLoader worker process 0.\n"
        'Original Traceback (most recent call last):\n  File "x.py", line 1, in f\n'
        "oaa_pl.errors.BadImageError: a.jpg is empty\n"
    )
    assert reason_of(BadImageError(text)) == "a.jpg is empty"


def test_an_error_of_a_spawned_process_is_told_without_its_traceback() -> None:
    text = "\n\n-- Process 0 terminated\nTraceback:\noaa_pl.errors.BadImageError: a.jpg is empty\n"
    assert reason_of(RuntimeError(text)) == "a.jpg is empty"


def test_a_defect_has_no_reason_to_show() -> None:
    assert reason_of(RuntimeError("ValueError: x")) is None


def test_our_own_error_is_found_below_what_wraps_it() -> None:
    wrapping = RuntimeError("in the job")
    wrapping.__cause__ = BadImageError("a.jpg is empty")
    assert reason_of(wrapping) == "a.jpg is empty"


def test_a_choice_that_does_not_exist_is_answered_with_the_choices() -> None:
    error = MissingConfigException("Could not find\nmany lines", "gate/nope", ["none", "top_k"])
    assert reason_of(error) == "gate must be one of none, top_k; got 'nope'"


def not_made(node: dict[str, object]) -> str | None:
    with pytest.raises(InstantiationException, match="target") as caught:
        Recipe(node)()
    return reason_of(caught.value)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module.loss", "No module named 'no_such_module'"),
        (
            "oaa_pl.losses.focal",
            "No module named 'oaa_pl.losses.focal'; 'oaa_pl.losses' is not a package",
        ),
    ],
)
def test_a_part_that_cannot_be_imported_is_named(target: str, reason: str) -> None:
    said = not_made({"_target_": target, "_partial_": True})
    assert said is not None
    assert said.startswith(f"_target_ {target} cannot be imported: {reason}; correct its name, or")
    assert said.endswith("on PYTHONPATH")


@pytest.mark.parametrize("more", [{}, {"gama": 2.0}])
def test_a_part_with_other_arguments_than_it_takes_is_named(more: dict[str, float]) -> None:
    said = not_made({"_target_": "oaa_pl.losses.hybrid_loss", **more})
    assert said is not None
    assert "_target_ oaa_pl.losses.hybrid_loss cannot be called: hybrid_loss() " in said
    assert "add _partial_: true" in said


def defective() -> None:
    raise TypeError("inside the part")


def test_an_error_inside_a_part_keeps_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "module_with_a_defect.py").write_text("1 / 0\n")
    assert not_made({"_target_": f"{__name__}.defective"}) is None
    assert not_made({"_target_": "module_with_a_defect.loss", "_partial_": True}) is None
