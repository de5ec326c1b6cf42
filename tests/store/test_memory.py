from collections.abc import Callable

import pytest
from tests.store.contract import PAIRS, StoreContract, header_of

from oaa_pl.store.memory import MemoryStore


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make(self) -> Callable[[str], MemoryStore]:
        return lambda fusion: MemoryStore(header_of(fusion), PAIRS)
