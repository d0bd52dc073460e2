"""Small networks on one thread: more threads only wait for each other."""

import pytest

from finembed_core.learning.loop import one_thread


@pytest.fixture(autouse=True)
def _alone():
    with one_thread():
        yield
