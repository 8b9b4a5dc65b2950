"""What is said to a person has commands that can be pasted where it is said."""

from __future__ import annotations

import pytest

from gambler_ai.cli.wiring import as_called

TEXTS = [
    (
        "run: gambler-ai db upgrade, then: gambler-ai --resume",
        "run: scripts/run db upgrade, then: scripts/run --resume",
    ),
    ("nothing was changed: use the version of gambler-ai that wrote it", None),
    ("install the extra: pip install 'gambler-ai[ml]'", None),
    ("session s-1 has no learner attention", None),
]


@pytest.mark.parametrize(("text", "called"), TEXTS)
def test_commands_are_those_of_how_it_was_called_and_nothing_else_is_touched(text, called, monkeypatch):
    monkeypatch.setenv("GAMBLER_PROGRAM", "scripts/run")
    assert as_called(text) == (called or text)


def test_without_another_name_and_where_the_settings_are_wrong_a_text_stays(monkeypatch):
    monkeypatch.delenv("GAMBLER_PROGRAM", raising=False)
    assert as_called(TEXTS[0][0]) == TEXTS[0][0]
    monkeypatch.setenv("GAMBLER_PROGRAM", "scripts/run")
    monkeypatch.setenv("GAMBLER_MIN_CONFIDENCE", "many")
    assert as_called(TEXTS[0][0]) == TEXTS[0][0]
