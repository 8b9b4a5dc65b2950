"""A component's bytes: the same for the same memory, read by what wrote them and by what came later."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from gambler_ai.core import components
from gambler_ai.core import events as ev
from gambler_ai.core.components import Plain, StructComponent
from gambler_ai.errors import CheckpointCorrupt, ConfigError, SchemaMismatch
from tests.unit.fakes import AT, D, after

DAY = ev.DayOpened(AT, "2008-10-07")


class Seen(Struct, frozen=True):
    days: tuple[str, ...] = ()
    best: Decimal = D(0)
    share: float = 0.0


def see(seen: Seen, fact: ev.Fact) -> Seen:
    return Seen((*seen.days, fact.day), seen.best, seen.share) if isinstance(fact, ev.DayOpened) else seen


def made(initial: Seen | None = None, **more: Any) -> StructComponent[Seen]:
    return StructComponent("seen", initial or Seen(), see, **more)


def test_it_evolves_by_facts_and_its_revision_moves_with_it_alone():
    component = made()
    component.apply(ev.Denied(AT, "AAPL", "buy", "halted", ""))  # type: ignore[arg-type]
    assert (component.state, component.revision) == (Seen(), 0)
    component.apply(DAY)
    assert (component.state, component.revision) == (Seen(("2008-10-07",)), 1)


def test_what_it_dumps_is_the_same_bytes_and_loads():
    component = made(Seen(("a", "b"), D("0.10"), 0.1))
    again = made()
    before = again.revision
    again.load(component.dump(), 1)
    assert again.state == component.state
    assert str(again.state.best) == "0.10"
    assert again.dump() == component.dump()
    assert again.revision != before


def test_an_older_schema_is_brought_up_step_by_step():
    steps: list[int] = []

    def step(older: int, change: dict[str, Any]) -> components.Step:
        def brought_up(values: Any) -> Any:
            steps.append(older)
            return values | change

        return brought_up

    newer = made(schema=3, upgrades={1: step(1, {"best": "7"}), 2: step(2, {"share": 0.5})})
    newer.load(msgspec.msgpack.encode(("seen", {"days": ["x"]})), 1)
    assert (newer.state, steps) == (Seen(("x",), D(7), 0.5), [1, 2])
    newer.load(msgspec.msgpack.encode(("seen", {"days": ["y"], "best": "1"})), 2)
    assert (newer.state, steps) == (Seen(("y",), D(1), 0.5), [1, 2, 2])


def test_a_step_that_fails_is_to_be_mended_and_nothing_is_taken():
    newer = made(schema=2, upgrades={1: lambda values: values["no such thing"]})
    with pytest.raises(ConfigError, match="the step up from schema 1 fails: KeyError") as caught:
        newer.load(made().dump(), 1)
    assert "mend the step" in caught.value.hint
    assert (newer.state, newer.revision) == (Seen(), 0)


@pytest.mark.parametrize(("stored", "match"), [(4, "has schema 4, this program reads up to 3"), (1, "from 2 on")])
def test_what_is_too_new_or_too_old_is_refused(stored, match):
    component = made(schema=3, upgrades={2: dict})
    with pytest.raises(SchemaMismatch, match=match) as caught:
        component.load(made().dump(), stored)
    assert caught.value.hint.startswith("nothing was changed")


BAD = {
    "nothing": b"",
    "no msgpack": b"\xc1",
    "another shape": msgspec.msgpack.encode({"days": []}),
    "another component": msgspec.msgpack.encode(("other", {"days": []})),
    "another type": msgspec.msgpack.encode(("seen", {"days": "x"})),
    "not a number": msgspec.msgpack.encode(("seen", {"best": "NaN"})),
    "not a float": msgspec.msgpack.encode(("seen", {"share": float("nan")})),
    "infinite": msgspec.msgpack.encode(("seen", {"share": float("inf")})),
    "far too deep": b"\x92\xa4seen" + b"\x91" * 10_000 + b"\xc0",
    "an extension": msgspec.msgpack.encode(("seen", msgspec.msgpack.Ext(7, b"x"))),
    "a Decimal that is none": msgspec.msgpack.encode(("seen", msgspec.msgpack.Ext(1, b"x"))),
    "something behind it": msgspec.msgpack.encode(("seen", {})) + b"\x00",
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD)
def test_what_is_no_memory_of_it_is_refused_and_nothing_is_taken(payload):
    component = made(Seen(("kept",)))
    with pytest.raises(CheckpointCorrupt):
        component.load(payload, 1)
    assert component.state == Seen(("kept",))


@given(st.binary(max_size=200))
def test_bytes_that_mean_nothing_never_raise_anything_else(payload):
    with suppress(CheckpointCorrupt):
        made().load(payload, 1)


@pytest.mark.parametrize("seen", [Seen(best=D("NaN")), Seen(share=float("inf")), Seen(best=D("-Infinity"))])
def test_what_is_no_number_is_not_stored(seen):
    with pytest.raises(ValueError, match="no finite number"):
        made(seen).dump()


@pytest.mark.parametrize("name", ["", "_seen", "1st", "a b", "a/b", "a" * 33, "é", 7, None])
def test_a_name_is_a_word(name):
    with pytest.raises(ConfigError, match="is no name for a component"):
        StructComponent(name, Seen(), see)
    with pytest.raises(ConfigError, match="is no name for a component"):
        Plain(name)


def test_a_state_that_can_be_changed_unseen_is_refused():
    class Loose(Struct):
        n: int = 0

    with pytest.raises(ConfigError, match="must be frozen"):
        StructComponent("loose", Loose(), lambda state, _fact: state)


@pytest.mark.parametrize(("schema", "steps"), [(0, []), (3, [1]), (3, [2, 3]), (2, [0, 1, 2])])
def test_a_step_that_is_missing_is_found_when_it_is_made(schema, steps):
    with pytest.raises(ConfigError, match="needs a step from each schema below"):
        made(schema=schema, upgrades=dict.fromkeys(steps, dict))


# -- plain values ---------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.text(st.characters(codec="utf-8"))
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_values_come_back_as_they_were(value):
    again = Plain("notes")
    again.load(Plain("notes", value).dump(), 1)
    assert again.value == value
    assert again.dump() == Plain("notes", value).dump()
    assert str(again.value) == str(value) or isinstance(value, dict | list | float)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, float("nan")]}, r"notes\.a\[1\]"),
        (D("Infinity"), "notes"),
        ({1: 2}, "notes"),
        ([1 << 64], r"notes\[0\]"),
        (b"x", "notes"),
        ({"x": {1, 2}}, r"notes\.x"),
        ({"x": object()}, r"notes\.x"),
        (AT, "notes"),
        ("\ud800", "notes"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place(value, where):
    with pytest.raises(ConfigError, match=f"^{where}: "):
        Plain("notes", value).dump()


def test_containers_without_an_end_are_refused():
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match="more than 100 containers"):
        Plain("notes", endless).dump()


def test_a_plain_value_keeps_the_schema_it_was_stored_with():
    plain = Plain("seen")
    plain.load(made(Seen(("x",))).dump(), 4)
    assert (plain.schema, plain.value["days"]) == (4, ["x"])


# -- somebody else's code -------------------------------------------------------------------------


class Odd:
    """Raises wherever it is asked."""

    name, schema, format, revision = "odd", 1, "odd", 0
    libraries: Mapping[str, str] = MappingProxyType({})

    def dump(self) -> bytes:
        raise ZeroDivisionError("in dump")

    def load(self, payload: bytes, schema: int) -> None:
        raise SystemExit("in load")

    def apply(self, fact: ev.Fact) -> None:
        raise KeyError("in apply")


def test_what_a_components_code_raises_is_a_line():
    assert "it failed on DayOpened: KeyError" in components.evolve(Odd(), DAY)
    with pytest.raises(ValueError, match="could not be stored: ZeroDivisionError"):
        components.dumped(Odd())
    with pytest.raises(ConfigError, match="component odd cannot be loaded: SystemExit"):
        components.load(Odd(), b"", 1)
    assert components.evolve(made(), DAY) == ""


def test_what_is_dumped_must_be_bytes():
    class Texts(Odd):
        def dump(self) -> Any:
            return "text"

    with pytest.raises(ValueError, match="dump returned str"):
        components.dumped(Texts())


def test_facts_of_later_do_not_change_what_was_dumped():
    component = made()
    component.apply(DAY)
    before = component.dump()
    component.apply(ev.DayOpened(after(days=1), "2008-10-08"))
    assert component.dump() != before
    assert msgspec.msgpack.decode(before)[1]["days"] == ["2008-10-07"]
