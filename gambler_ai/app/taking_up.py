"""What of other bots' learning a learner of ours can begin with, and what is only kept: by names alone."""

from __future__ import annotations

from gambler_ai.ancestors import Memory
from gambler_ai.ancestors.learned import QTable, Weights

#: The learner that takes up weights.
ATTENTION = "attention"
#: What a line names, at most.
_LISTED = 5


def becomes(memory: Memory) -> tuple[str, ...]:
    """What will come of what was imported, in lines; nothing for what no learner takes."""
    match memory:
        case QTable():
            return _of_table(memory)
        case Weights():
            why = not_taken(memory)
            return (f"only kept: {why}" if why else f"--learners {ATTENTION} begins with them, in their order",)
    return ()


def rows(table: QTable) -> dict[str, dict[str, float]]:
    """The rows of a table whose states are regimes of ours, and whose values are all rewards."""
    from gambler_ai.learners.regimes import REGIMES

    found = {regime: table.values[regime] for regime in REGIMES if regime in table.values}
    return {regime: row for regime, row in found.items() if all(0 <= value <= 1 for value in row.values())}


def not_taken(weights: Weights) -> str:
    """Why attention does not begin with them; "" if it does."""
    from gambler_ai.learners.features import NAMES

    if len(weights.values) != len(NAMES):
        return f"{ATTENTION} weighs {len(NAMES)} features, and it is not said which of them these are"
    if min(weights.values) < 0 or not sum(weights.values) > 0:
        return f"weights of {ATTENTION} are shares, and one of these is below zero, or none above"
    return ""


def _of_table(table: QTable) -> tuple[str, ...]:
    from gambler_ai.learners.regimes import REGIMES

    lines, ours = [], rows(table)
    if ours:
        actions = _some(sorted({action for row in ours.values() for action in row}))
        lines.append(f"--strategy chooser begins with {'; '.join(ours)}: of {actions}, those that it chooses among")
    unknown = sorted(table.values.keys() - set(REGIMES))
    if unknown:
        lines.append(f"only kept: {_some(unknown)}, which are no regimes here ({'; '.join(REGIMES)})")
    outside = [regime for regime in REGIMES if regime in table.values and regime not in ours]
    if outside:
        lines.append(f"only kept: {'; '.join(outside)}, whose values are no rewards from 0 to 1")
    if ours and table.epsilon is not None:
        lines.append(f"its epsilon is not taken up: --set epsilon={table.epsilon:g}")
    return tuple(lines)


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")
