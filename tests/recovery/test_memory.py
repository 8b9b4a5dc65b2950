"""What a strategy remembers, through the real program: killed, spoiled, refused; and what a person sees of it."""

import json
from pathlib import Path

import pytest

from tests.recovery.harness import World, audit

STRATEGY = '''
from collections.abc import Sequence

from msgspec import Struct

from gambler_ai.core.events import Fact, FillReported
from gambler_ai.strategies import Component, MarketView, Proposal, StructComponent
from gambler_ai.strategies.momentum import Momentum


class Seen(Struct, frozen=True):
    fills: int = 0


def count(seen: Seen, fact: Fact) -> Seen:
    return Seen(seen.fills + 1) if isinstance(fact, FillReported) else seen


class Once(Momentum, frozen=True):
    """Momentum that enters nothing any more after its first fill."""

    def components(self) -> Sequence[Component]:
        return [StructComponent("once", Seen(), count)]

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        return () if view.memory["once"].state.fills else super().propose(view)
'''


@pytest.fixture
def once(world: World) -> Path:
    path = world.folder / "once.py"
    path.write_text(STRATEGY)
    return path


def components(world: World) -> list[dict[str, object]]:
    return [row for row in world.show()["components"] if row["name"] == "once"]


def spoil(world: World) -> None:
    newest = "(SELECT sha256 FROM components WHERE name = 'once' ORDER BY number DESC LIMIT 1)"
    assert world.write(f"UPDATE blobs SET payload = ? WHERE sha256 = {newest}", b"rot") == 1


def test_a_kill_right_after_a_fill_does_not_make_it_forget(world: World, once: Path):
    """The fill is in the journal and in no blob; without it MSFT would be entered at 9:40 as well."""
    world.trade("--strategy", str(once), duration=14, crash_at="fill.after_commit:1").was_killed()
    assert world.positions() == {"AAPL": 99}
    world.resume().ok()
    assert {row["symbol"] for row in world.rows("SELECT symbol FROM intents WHERE purpose = 'entry'")} == {"AAPL"}
    audit(world)


def test_a_blob_that_rots_is_named_set_aside_and_gone_around(world: World, once: Path):
    world.trade("--strategy", str(once), duration=14, crash_at="checkpoint.after:13").was_killed()
    good = components(world)
    spoil(world)
    checked = world.run("doctor", "--offline")
    assert "its blob does not unpack" in checked.out
    ended = world.resume().ok()
    assert "once: a stored memory was set aside: its blob does not unpack" in ended.out
    [bad] = [row for row in components(world) if row["set_aside"]]
    assert (bad["number"], bad["set_aside"]) == (good[0]["number"], "its blob does not unpack")
    shown = world.run("sessions", "show", world.session()["id"]).ok().out
    assert "set aside: its blob does not unpack" in shown
    told = world.run("sessions", "show", world.session()["id"], "--recovery").ok().out
    assert "once: a stored memory was set aside" in told
    assert {row["symbol"] for row in world.rows("SELECT symbol FROM intents WHERE purpose = 'entry'")} == {"AAPL"}
    assert "set aside" not in world.resume("--duration", "2").ok().out
    audit(world)


def test_what_a_newer_strategy_stored_is_refused_and_nothing_is_written(world: World, once: Path):
    world.trade("--strategy", str(once), duration=14, crash_at="fill.after_commit:1").was_killed()
    world.write("UPDATE components SET schema = 2 WHERE name = 'once'")
    before = world.content()
    ended = world.resume()
    assert ended.code == 5
    assert "component once: what is stored has schema 2, this program reads up to 1" in ended.err
    after = world.content()
    assert {name for name in before if before[name] != after[name]} <= {"lease"}
    world.run("--reconcile-only").ok()  # what it holds is protected without any opinion
    once.write_text(STRATEGY.replace("Seen(), count)", "Seen(), count, schema=2, upgrades={1: dict})"))
    world.resume().ok()
    audit(world)


def test_one_that_fails_keeps_the_session_and_its_positions(world: World, once: Path):
    once.write_text(STRATEGY.replace("return Seen(seen.fills + 1)", "return Seen(1 // seen.fills)"))
    ended = world.trade("--strategy", str(once), "--json", duration=14).ok()
    told = [json.loads(line) for line in ended.out.splitlines()]
    [memory] = [line for line in told if line["kind"] == "memory"]
    assert "it failed on FillReported: ZeroDivisionError" in memory["reason"]
    assert (memory["component"], memory["number"]) == ("once", 0)
    assert any(line["kind"] == "denied" and line["code"] == "strategy_failed" for line in told)
    assert world.positions().keys() == {"AAPL"}
    audit(world)
