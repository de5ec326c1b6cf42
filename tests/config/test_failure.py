from hydra.errors import MissingConfigException

from oaa_pl.config.failure import reason_of
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
