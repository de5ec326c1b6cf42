from collections.abc import Callable

import pytest

from oaa_pl.store.memory import MemoryStore
from tests.store.contract import PAIRS, StoreContract, header_of


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make(self) -> Callable[[str], MemoryStore]:
        return lambda fusion: MemoryStore(header_of(fusion), PAIRS)
