import numpy as np

from oaa_pl.data.synthetic.parts import COMMON_COLOURS, body_material, common_material, weak_cue


def near(colour: tuple[float, float, float], place: int) -> bool:
    return bool(np.abs(np.subtract(colour, COMMON_COLOURS[place])).max() <= 0.13)


def test_a_weak_cue_shows_as_often_as_it_is_reliable() -> None:
    rng = np.random.default_rng(0)
    shown = sum(weak_cue(rng, 0.3) for _ in range(4000)) / 4000
    assert abs(shown - 0.3) < 0.03


def test_a_fully_reliable_body_always_has_the_class_colour_and_pattern() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        material = body_material(rng, 2, "scales", reliability=1.0)
        assert material.pattern == "scales"
        assert near(material.colour, 2)


def test_an_unreliable_body_is_drawn_from_the_common_stock() -> None:
    rng = np.random.default_rng(2)
    materials = [body_material(rng, 2, "scales", reliability=0.0) for _ in range(200)]
    assert len({material.pattern for material in materials}) > 3
    assert sum(near(material.colour, 2) for material in materials) < 80


def test_colour_and_pattern_of_a_body_fail_independently() -> None:
    rng = np.random.default_rng(3)
    materials = [body_material(rng, 2, "scales", reliability=0.5) for _ in range(400)]
    kinds = {(near(m.colour, 2), m.pattern == "scales") for m in materials}
    assert len(kinds) == 4


def test_common_materials_use_every_common_colour() -> None:
    rng = np.random.default_rng(4)
    drawn = [common_material(rng).colour for _ in range(200)]
    assert all(any(near(colour, place) for colour in drawn) for place in range(len(COMMON_COLOURS)))
