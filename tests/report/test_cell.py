import pytest

from oaa_pl.report.cell import deviation_text, signed
from oaa_pl.report.results import Estimate


@pytest.mark.parametrize(
    ("value", "text"), [(4.71, "+4.7"), (-4.71, "−4.7"), (0.04, "0.0"), (-0.04, "0.0")]
)
def test_a_difference_carries_its_sign_unless_it_prints_as_zero(value: float, text: str) -> None:
    assert signed(value) == text


def test_only_several_seeds_have_a_deviation_to_print() -> None:
    assert deviation_text(Estimate.of({0: 1.0})) == ""
    assert deviation_text(Estimate.of({0: 1.0, 1: 3.0})) == "± 1.4"
    assert deviation_text(Estimate.of({0: 1.0, 1: float("nan")})) == ""
