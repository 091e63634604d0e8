from collections.abc import Callable

import pytest

from tests.support.services import Service


@pytest.fixture
def sample(make_service: Callable[..., Service]) -> Service:
    return make_service("tests.support.sample")
