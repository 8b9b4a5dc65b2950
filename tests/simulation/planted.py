"""Faults that are planted into a copy of the program: file, text, what stands there instead.

Each breaks one promise; a simulation that stays green with one of them shows nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Planted(NamedTuple):
    """``before`` is in ``file`` exactly once. So many ``seeds`` are enough to see it, of an hour or of whole days."""

    name: str
    file: str
    before: str
    after: str
    seeds: int
    minutes: int | None = 60


PLANTED = (
    Planted(
        "sent before it is committed",
        "trading/runner.py",
        "        saved = self._ledger.commit(decisions, checkpoint=self._checkpoint_due, remember=self._memory_due)\n",
        "        for fact in decisions.facts:\n"
        "            request = self._request(fact)\n"
        "            if request is not None:\n"
        "                self._executor.ask(request)\n"
        "                getattr(self._executor, 'work')()\n"
        "        saved = self._ledger.commit(decisions, checkpoint=self._checkpoint_due, remember=self._memory_due)\n",
        5,
    ),
    Planted(
        "a fill is booked each time it is read",
        "core/reconcile.py",
        " and fill.activity_id not in state.fill_ids.get(fill.order_id, ())\n",
        "\n",
        5,
    ),
    Planted(
        "a halt is not looked at",
        "core/risk.py",
        "    if state.halts:\n",
        "    if state.halts and at is None:\n",
        60,
    ),
    Planted(
        "trading goes on while degraded",
        "core/risk.py",
        "    if against:\n",
        "    if against and at is None:\n",
        60,
    ),
    Planted(
        "what a partly filled entry left is not protected",
        "core/protection.py",
        "    return [] if pauses else _rearm(case.state, position, at, market_open)\n",
        "    return []\n",
        60,
    ),
    Planted(
        "an id that does not name the bar",
        "core/orders.py",
        '    return f"entry|{strategy}|{symbol}|{side}|{signal_at.isoformat()}"\n',
        '    return f"entry|{strategy}|{symbol}|{side}"\n',
        10,
    ),
    Planted(
        "a checkpoint forgets the last prices",
        "core/snapshot.py",
        "    return _encoder.encode(state)\n",
        "    return _encoder.encode(msgspec.structs.replace(state, marks={}))\n",
        5,
    ),
    Planted(
        "given up after one look-up",
        "core/missing.py",
        "        record.misses >= VOID_MISSES\n        and at - (record.first_miss_at or at) >= VOID_SPAN\n",
        "        record.misses >= 1\n",
        120,
    ),
    Planted(
        "an outcome is told twice",
        "core/engine.py",
        "        for outcome in changes.outcomes:\n",
        "        for outcome in (*changes.outcomes, *changes.outcomes):\n",
        10,
    ),
    Planted(
        "the money of a structure counts a contract as one share",
        "core/options/books.py",
        "    cash = -qty * price * multiplier_of(symbol)\n",
        "    cash = -qty * price\n",
        30,
        90,
    ),
    Planted(
        "what is long goes before the short that it covers",
        "core/options/planning.py",
        "    for number, (symbol, qty) in enumerate(sorted((shorts or what).items()), case.structure.decisions):\n",
        "    for number, (symbol, qty) in enumerate(sorted(what.items()), case.structure.decisions):\n",
        120,
        90,
    ),
    Planted(
        "what is uneven stays so",
        "core/options/planning.py",
        "    return _mend(case) if since is not None and case.at - since >= UNEVEN_PATIENCE else []\n",
        "    return []\n",
        120,
        90,
    ),
)

#: The same for the machine, which has the engine and no program around it.
IN_THE_CORE = (PLANTED[1], PLANTED[4])
