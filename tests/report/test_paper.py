from oaa_pl.report.methods import methods
from oaa_pl.report.paper import EFFECTS, TABLE_1, TABLE_3, paper_number


def test_the_effects_are_those_of_the_design() -> None:
    assert [effect.points for effect in EFFECTS] == [4.7, 3.1, 1.6, 1.0, 8.4]


def test_every_method_has_a_row_in_table_2_in_the_same_order() -> None:
    table_2 = {name: one.paper for name, one in methods().items() if one.paper is not None}
    assert list(table_2.values()) == [53.9, 57.0, 58.6, 51.2, 59.6]
    assert list(table_2) == [name for name, one in methods().items() if one.row is not None]


def test_the_last_row_of_table_3_is_the_last_of_table_2() -> None:
    assert TABLE_3[-1].val == methods()["oaa_plus_hybrid"].paper
    assert [(row.percent, row.val) for row in TABLE_3] == [
        (20, 54.6),
        (50, 57.3),
        (80, 58.9),
        (100, 59.6),
    ]


def test_table_1_has_both_backbones_on_val_and_test() -> None:
    scores = {(row.backbone, row.method): (row.val, row.test) for row in TABLE_1}
    assert scores == {
        ("VGG-16", "OAA"): (61.6, 61.9),
        ("VGG-16", "OAA+"): (63.1, 62.8),
        ("ResNet-101", "OAA"): (63.9, 65.6),
        ("ResNet-101", "OAA+"): (65.2, 66.4),
    }


def test_a_variant_has_the_number_of_its_own_table() -> None:
    numbers = {
        "oaa_max-crf": 61.6,
        "oaa_plus_hybrid-crf": 63.1,
        "oaa_max-resnet101-crf": 63.9,
        "oaa_plus_hybrid-resnet101-crf": 65.2,
        "oaa_plus_hybrid-80pc": 58.9,
        "oaa_max-80pc": None,
        "oaa_max-resnet101": None,
    }
    assert {method: paper_number(method) for method in numbers} == numbers
