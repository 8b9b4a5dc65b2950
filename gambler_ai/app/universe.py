"""What a session trades, shares or options on them, and which settings go with which: what does nothing is refused."""

from __future__ import annotations

from collections.abc import Collection

from gambler_ai.config import Settings
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.risk_rules import RiskRules, Sizing
from gambler_ai.core.state import OPTIONS, SHARES
from gambler_ai.errors import ConfigError
from gambler_ai.strategies import loader

_BY_STRATEGY = "a structure's stop and target are its strategy's: --set, see gambler-ai strategies show NAME"
_NO_LEARNERS = "learners learn from trades in shares; --min-confidence alone is the least probability of profit"
#: Settings of sessions in shares -> what does their work in options sessions.
_OF_SHARES = {
    "stop_loss_pct": _BY_STRATEGY, "take_profit_pct": _BY_STRATEGY,
    "position_size": "say what one structure may cost or lose: --capital-per-trade",
    "limit_pct": "structures are entered at a limit always: what all their legs cost now",
    "learners": _NO_LEARNERS, "use_learner": _NO_LEARNERS, "confidence": _NO_LEARNERS,
}  # fmt: skip
#: The other way round.
_OF_OPTIONS = {
    "underlyings": "say what to trade: --symbols",
    "capital_per_trade": "say what one position may cost: --position-size",
    "max_per_strategy": "shares have --max-positions", "max_per_sector": "shares have --risk max_sector_pct",
}  # fmt: skip


def refuse_strangers(settings: Settings, given: Collection[str], universe: str) -> None:
    """Refuse what the command line gave, and what is set elsewhere to another value than the default, and has no
    meaning in a session of this kind.

    Raises:
        ConfigError: the first such setting, and what does its work.
    """
    for name, instead in (_OF_SHARES if universe == OPTIONS else _OF_OPTIONS).items():
        if name in given or getattr(settings, name) != type(settings).model_fields[name].default:
            _refuse(name, instead, universe)


def refuse_given(given: Collection[str], universe: str) -> None:
    """The same of a session that is gone on with: only what the command line gave.

    Raises:
        ConfigError.
    """
    for name, instead in (_OF_SHARES if universe == OPTIONS else _OF_OPTIONS).items():
        if name in given:
            _refuse(name, instead, universe)


def _refuse(name: str, instead: str, universe: str) -> None:
    raise ConfigError(f"--{name.replace('_', '-')} has no meaning in a session that trades {universe}", hint=instead)


def refuse_learners(rules: LearningRules) -> None:
    """Refuse rules for learners in an options session: there is nothing that they could learn from.

    Raises:
        ConfigError.
    """
    if replaced := [name for name in ("learners", "use", "confidence") if getattr(rules, name) != _NONE[name]]:
        _refuse({"use": "use_learner"}.get(replaced[0], replaced[0]), _NO_LEARNERS, OPTIONS)


_NONE = {name: getattr(LearningRules(), name) for name in ("learners", "use", "confidence")}


def refuse_sizing(rules: RiskRules, universe: str) -> None:
    """Refuse another size than a fixed one for structures: they are sized by what one unit can lose.

    Raises:
        ConfigError.
    """
    if universe == OPTIONS and rules.sizing is not Sizing.FIXED:
        raise ConfigError(
            f"--risk sizing={rules.sizing} has no meaning in a session that trades {OPTIONS}",
            hint="structures are sized by what one of them can lose: --capital-per-trade",
        )


def chosen_universe(asked: str | None, strategy: str, for_: str) -> str:
    """What a session trades whose strategy is for ``for_``; ``asked`` is what somebody said.

    Raises:
        ConfigError: the strategy is for the other one.
    """
    if asked is not None and asked != for_:
        raise ConfigError(
            f"strategy {strategy} trades {for_}, and --universe is {asked}",
            hint=f"leave --universe out, or name a strategy for {asked}: gambler-ai strategies list",
        )
    return for_


def expected(settings: Settings) -> str:
    """What a session with these settings would trade, as far as that is known before a strategy is loaded."""
    if settings.universe is not None or settings.strategy not in loader.BUILT_INS:
        return settings.universe or SHARES
    return loader.find(settings.strategy).cls.universe
