"""What the tests of the red-team suite share."""

import pytest

from harness.isolation import NoIsolation, choose


@pytest.fixture(scope="session")
def isolation() -> str:
    """The strongest isolation that works here."""
    try:
        found = choose()
    except NoIsolation as problem:
        pytest.skip(str(problem))
    if found == "none":
        pytest.skip("hostile code runs only in a sandbox")
    return found
