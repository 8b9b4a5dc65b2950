"""Which strategy a session trades: the one asked for, or the one an earlier session was begun with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gambler_ai.app.assembly import check_learning, plan_of
from gambler_ai.app.universe import chosen_universe, refuse_sizing, refuse_strangers
from gambler_ai.config import Settings
from gambler_ai.core.state import Plan
from gambler_ai.errors import ConfigError
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.strategies import Strategy, loader

_ANEW = "leave the flag out to resume, or start another session with --new"


class Onlooker(Strategy, frozen=True):
    """For a run that compares and protects: it needs nobody's opinion, and no file that may be gone."""

    history: int = 100  # bars that are counted, to tell what passed meanwhile


def chosen(settings: Settings, given: Mapping[str, Any]) -> tuple[Plan, Strategy]:
    """The plan of a fresh session, and the strategy it names; ``given`` is what the command line said.

    Raises:
        ConfigError: it cannot be loaded, a parameter is not allowed, or a setting has no meaning in what it trades.
    """
    loaded = loader.load(settings.strategy, settings.parameters)
    universe = chosen_universe(settings.universe, settings.strategy, loaded.strategy.universe)
    refuse_strangers(settings, given, universe)
    asked = plan_of(settings, universe)
    refuse_sizing(asked.risk, universe)
    check_learning(asked.learning, loaded.strategy.name, universe)
    plan = replace(
        asked, strategy=loaded.spec, strategy_name=loaded.strategy.name,
        strategy_parameters=loaded.parameters, strategy_sha256=loaded.sha256,
    )  # fmt: skip
    return plan, loaded.strategy


def stored_strategy(info: SessionInfo, given: Mapping[str, Any]) -> loader.Loaded:
    """The strategy of an earlier session with the parameters it began with.

    Raises:
        ConfigError: it cannot be loaded as it was, or ``given`` (what the command line said) names another.
    """
    plan = info.plan
    asked = given.get("strategy")
    if asked is not None and not loader.is_same(asked, plan.strategy):
        raise ConfigError(
            f"--strategy {asked} differs from what session {info.id} trades ({plan.strategy})", hint=_ANEW
        )
    try:
        found = loader.find(plan.strategy)
        loaded = loader.prepare(found, plan.strategy_parameters)
    except ConfigError as error:
        hint = f"session {info.id} is as it was: put the strategy back and --resume, or start another with --new"
        raise ConfigError(error.message, hint=hint) from None
    if plan.strategy_name not in ("", loaded.strategy.name):
        raise ConfigError(
            f"{plan.strategy} calls itself {loaded.strategy.name!r} now; session {info.id} filed its positions under"
            f" {plan.strategy_name!r}",
            hint="give it its name back, or start another session with --new",
        )
    _refuse_others(info, loaded, loader.prepare(found, {**plan.strategy_parameters, **given.get("parameters", {})}))
    return loaded


def _refuse_others(info: SessionInfo, known: loader.Loaded, asked: loader.Loaded) -> None:
    for name, value in asked.parameters.items():
        if value != known.parameters[name]:
            raise ConfigError(
                f"--set {name}={value} differs from what session {info.id} trades ({known.parameters[name]})",
                hint=_ANEW,
            )
