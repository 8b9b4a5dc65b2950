"""What the marks of the tests mean, said by tests that wear them."""

import pytest

NIGHTLY = "nightly: too large for each commit; runs with --nightly"


def test_nightly_is_a_mark_and_an_option(request):
    assert NIGHTLY in request.config.getini("markers")
    assert request.config.getoption("--nightly") in (True, False)


@pytest.mark.nightly
def test_what_is_nightly_runs_with_the_option_only(request):
    assert request.config.getoption("--nightly")
