"""The model card's table holds whatever a user gives as licence."""

from oaa_pl.prediction.export.card import _table


def test_a_cell_stays_one_cell() -> None:
    table = _table({"licence": "A | B\nor C", "network": "vgg16"})
    assert "| licence | A \\| B or C |" in table.splitlines()
    assert len([line for line in table.splitlines() if line]) == 4
