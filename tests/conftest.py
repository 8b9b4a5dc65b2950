"""What every test stands on: nothing of the developer's environment, and a home of its own."""

import os

import pytest
from hypothesis import settings

OURS = ("ALPACA_", "APCA_", "GAMBLER_")
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}

# At import too: a session fixture may start a server before the first test has begun.
for _name in [name for name in os.environ if name.startswith(OURS) or name.lower() in PROXIES]:
    del os.environ[_name]

# A slow machine is not a fault. What hangs meets the timeout of pyproject.toml.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path_factory):
    """No test sees the developer's keys, settings or sessions, and none can spoil them."""
    path = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("XDG_STATE_HOME", str(path / "state"))
    monkeypatch.setenv("GAMBLER_HOME", str(path / "gambler_ai"))
    return path
