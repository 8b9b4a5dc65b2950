"""What learns from closed trades: by name, each imported when it is first used.

A learner is a component (`core/components.py`) that is told of outcomes by facts, so that what it knows is a function
of the journal, and a restart knows what it knew, bit for bit.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from typing import Any

from gambler_ai.core.learning import CHOOSER, LearningRules
from gambler_ai.errors import ConfigError
from gambler_ai.learners.base import Learner

#: Name -> where its class is.
KNOWN = {
    "attention": "gambler_ai.learners.attention:Attention",
    "signal": "gambler_ai.learners.signal_model:SignalModel",
    "sequence": "gambler_ai.learners.sequence_model:SequenceModel",
}


def make(names: Iterable[str]) -> list[Learner[Any]]:
    """These learners as they are before they have learned anything.

    One whose library is missing can be loaded and looked at all the same; it is `check` that refuses to trade with it.

    Raises:
        ConfigError: one is not known.
    """
    return [_class(name)() for name in names]


def check(rules: LearningRules, strategy: str) -> None:
    """Refuse rules that cannot work, and learners whose library is not installed.

    Raises:
        ConfigError: it says which, and what to do.
    """
    for name in rules.learners:
        _check_installed(_class(name))
    used = [name for name in rules.use if name not in rules.learners and name != CHOOSER]
    if used:
        raise ConfigError(f"--use-learner {used[0]}: it does not learn here", hint=f"add it: --learners {used[0]}")
    if CHOOSER in rules.use and strategy != CHOOSER:
        raise ConfigError("--use-learner chooser: nothing is chosen among", hint="trade --strategy chooser")
    if rules.min_confidence is not None and not rules.learners:
        raise ConfigError("--min-confidence: there is nobody to ask", hint=f"name some: --learners {','.join(KNOWN)}")
    insisted = [name for name in rules.use if name != CHOOSER]
    if rules.min_confidence is None and insisted:
        raise ConfigError(
            f"--use-learner {insisted[0]}: nothing says how sure it has to be", hint="say it: --min-confidence 0.5"
        )


def _check_installed(learner: type[Learner[Any]]) -> None:
    """Looked for, not imported: that takes a second, and is done when what is held is protected."""
    if learner.needs is None:
        return
    module, package, extra = learner.needs
    if importlib.util.find_spec(module) is None:
        raise ConfigError(
            f"learner {learner.name} needs {package}, which is not installed",
            hint=f"install the extra: pip install 'gambler-ai[{extra}]'; or leave {learner.name} out of --learners",
        )


def _class(name: str) -> type[Learner[Any]]:
    if name not in KNOWN:
        raise ConfigError(f"there is no learner {name!r:.40}", hint=f"there are: {', '.join(KNOWN)}")
    module, _, attribute = KNOWN[name].partition(":")
    found: type[Learner[Any]] = getattr(importlib.import_module(module), attribute)
    return found
