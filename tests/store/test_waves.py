import numpy as np
import pytest

from oaa_pl.store.waves import waves


@pytest.mark.parametrize(
    "rows", [[], [3], [1, 2, 9], [9, 2, 1], [4, 4], [1, 2, 1, 1, 2, 7], [0, 5, 5, 0]]
)
def test_each_map_is_in_one_wave_in_order_and_no_row_comes_twice_in_a_wave(
    rows: list[int],
) -> None:
    batch, positions = np.array(rows, np.int64), np.arange(len(rows))
    found = [positions[wave].tolist() for wave in waves(batch)]
    assert sorted(place for wave in found for place in wave) == positions.tolist()
    for wave in found:
        assert len({rows[place] for place in wave}) == len(wave)
        assert wave == sorted(wave)
    for row in rows:  # maps of one row come in the order of the batch
        order = [place for wave in found for place in wave if rows[place] == row]
        assert order == sorted(order)
