import pytest

from oaa_pl.data.sampler import EpochSampler, epoch_order
from oaa_pl.types import Draw


def draws(epoch: int = 0, **arguments: int) -> list[Draw]:
    sampler = EpochSampler(**arguments)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_an_epoch_shows_every_image_once() -> None:
    assert sorted(d.index for d in draws(num_samples=17, seed=3)) == list(range(17))


def test_epochs_differ_and_return() -> None:
    first, second = (draws(epoch, num_samples=50, seed=3) for epoch in (0, 1))
    assert [d.index for d in first] != [d.index for d in second]
    assert first == draws(0, num_samples=50, seed=3)


def test_seeds_differ() -> None:
    assert draws(num_samples=50, seed=0) != draws(num_samples=50, seed=1)


def test_the_order_is_the_same_on_every_machine() -> None:
    assert epoch_order(8, seed=0, epoch=0) == [5, 0, 1, 4, 2, 6, 3, 7]


def test_a_draw_carries_its_epoch() -> None:
    assert {d.epoch for d in draws(7, num_samples=5)} == {7}


def test_an_epoch_begun_is_not_changed_by_the_next() -> None:
    sampler = EpochSampler(10, seed=0)
    iterator = iter(sampler)
    begun = [next(iterator)]
    sampler.set_epoch(1)
    assert begun + list(iterator) == draws(0, num_samples=10)


def test_unshuffled_comes_as_listed() -> None:
    assert [d.index for d in EpochSampler(5, shuffle=False)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("num_samples", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
def test_ranks_share_an_epoch_and_mark_what_they_repeat(num_samples: int, world_size: int) -> None:
    shares = [
        draws(2, num_samples=num_samples, seed=5, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    sampler = EpochSampler(num_samples, seed=5, rank=0, world_size=world_size)
    assert {len(share) for share in shares} == {len(sampler)}
    dealt = [draw for share in shares for draw in share]
    once = [draw.index for draw in dealt if not draw.repeat]
    assert sorted(once) == list(range(num_samples))
    assert len(dealt) - len(once) < world_size


def test_one_process_and_many_see_the_same_order() -> None:
    alone = draws(1, num_samples=12, seed=5)
    shares = [draws(1, num_samples=12, seed=5, rank=r, world_size=3) for r in range(3)]
    assert [draw for step in zip(*shares, strict=True) for draw in step] == alone


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="num_samples must be 1 or more, got 0"):
        EpochSampler(0)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        EpochSampler(3, seed=-1)


def test_a_foreign_rank_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rank must be in 0\.\.1"):
        EpochSampler(3, rank=2, world_size=2)
