"""What the tests of the kernels share."""

import pytest


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The CPU, where torch's own functions run, and a GPU, where the kernels do."""
    return str(request.param)
