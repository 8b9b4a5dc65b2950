# ruff: noqa: E501, PT017 (tables of input are easier to read in long lines; whether it raises is not known beforehand)
"""Files of other bots that mean harm: refused by name, in one line, and nothing of them is run."""

import builtins
import codecs
import functools
import io
import json
import operator
import os
import pickle
import pickletools
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.ancestors import Refused, recognise
from gambler_ai.ancestors.plain import walked
from gambler_ai.ancestors.summary import taken as described
from gambler_ai.ancestors.unpickling import read
from tests.hostile.nasty import WHOLE, Lot, by_night, each_value, wrong
from tests.unit.ancestors.fno import FILES as FNO

FILES = Path(__file__).parents[1] / "unit" / "ancestors" / "files"
STORED = {path.relative_to(FILES).as_posix(): path.read_bytes() for path in sorted(FILES.rglob("*.*"))}
LATEST = pickle.HIGHEST_PROTOCOL


class Calls:
    """Unpickled, it calls ``made[0]`` with the rest."""

    def __init__(self, *made: Any) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return self.made[0], self.made[1:]


class Sets:
    """Unpickled, it is a class whose state is set."""

    def __init__(self) -> None:
        self.value = 1


def dumps(value: Any, protocol: int = LATEST) -> bytes:
    return pickle.dumps(value, protocol)


def named(name: str) -> bytes:
    """A pickle of one name: `module attribute`."""
    module, _, attribute = name.partition(" ")
    return f"c{module}\n{attribute}\n.".encode()


def stack_global(module: bytes, attribute: bytes) -> bytes:
    return b"\x80\x04\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(attribute)]) + attribute + b"\x93."


#: What is run if it is believed -> the name that it must be refused by.
NAMED: dict[str, tuple[Callable[[str], bytes], str]] = {
    "system": (lambda c: dumps(Calls(os.system, c)), f"{os.name}.system"),
    "system, by hand": (lambda c: b"cos\nsystem\n(S'" + c.encode() + b"'\ntR.", "os.system"),
    "eval": (lambda c: dumps(Calls(builtins.eval, f"__import__('os').system({c!r})")), "builtins.eval"),
    "exec": (lambda c: dumps(Calls(builtins.exec, f"import os; os.system({c!r})")), "builtins.exec"),
    "eval of Python 2": (lambda c: b"c__builtin__\neval\n(S'" + c.encode() + b"'\ntR.", "__builtin__.eval"),
    "getattr": (lambda _: named("builtins getattr"), "builtins.getattr"),
    "Popen": (lambda c: dumps(Calls(subprocess.Popen, ["sh", "-c", c])), "subprocess.Popen"),
    "partial": (lambda c: dumps(functools.partial(os.system, c)), "functools.partial"),
    "attrgetter": (lambda _: dumps(operator.attrgetter("system")), "operator.attrgetter"),
    "methodcaller": (lambda c: dumps(operator.methodcaller("system", c)), "operator.methodcaller"),
    "import": (lambda _: dumps(Calls(import_module, "antigravity")), "importlib.import_module"),
    "pickle in a pickle": (lambda c: dumps(Calls(pickle.loads, dumps(Calls(os.system, c)))), "_pickle.loads"),
    "codecs": (lambda _: dumps(Calls(codecs.decode, zlib.compress(b"x" * 1000), "zip")), "_codecs.decode"),
    "reconstructor": (lambda _: dumps(Sets(), 1), "copy_reg._reconstructor"),
    "a class": (lambda _: dumps(Sets()), "tests.hostile.test_ancestors.Sets"),
    "in a list": (lambda c: dumps([1, {"a": (2, Calls(os.system, c))}]), f"{os.name}.system"),
    "argument of what is known": (lambda c: dumps(Calls(set, [Calls(os.system, c)])), f"{os.name}.system"),
    "default of a defaultdict": (lambda _: b"ccollections\ndefaultdict\n(cos\nsystem\ntR.", "os.system"),
    "objects of NumPy": (lambda c: dumps(np.array([Calls(os.system, c)], dtype=object)), "dtype O8"),
    "records of NumPy": (lambda _: dumps(np.zeros(2, dtype=[("a", "f8")])), "dtype V8"),
    "texts of NumPy": (lambda _: dumps(np.array(["a", "b"])), "dtype U1"),
    "memory map": (lambda _: named("numpy memmap"), "numpy.memmap"),
    "loader of NumPy": (lambda _: named("numpy load"), "numpy.load"),
    "another array": (lambda _: b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy.matrixlib\nmatrix\n(tS'b'\ntR.", "numpy.matrixlib.matrix"),
    "name on the stack": (lambda _: stack_global(b"os", b"system"), "os.system"),
    "name with a path": (lambda _: stack_global(b"datetime", b"datetime.now"), "datetime.datetime.now"),
    "name with a terminal's escape": (lambda _: stack_global(b"o\x1b[2Js", b"system"), r"o\?\[2Js.system"),
    "name without end": (lambda _: named("a" * 5000 + " b"), r"a{97}\.\.\."),
    "instance": (lambda c: b"(S'" + c.encode() + b"'\nios\nsystem\n.", "uses INST"),
    "object": (lambda c: b"(cos\nsystem\nS'" + c.encode() + b"'\no.", "os.system"),
    "object of what is known": (lambda _: b"(cdatetime\ndate\nS'a'\no.", "uses OBJ"),
    "keywords": (lambda _: b"\x80\x04cdatetime\ndate\n)}\x92.", "uses NEWOBJ_EX"),
    "persistent id": (lambda _: b"Pfile:///etc/passwd\n.", "uses PERSID"),
    "persistent id, binary": (lambda _: b"\x80\x02K\x01Q.", "uses BINPERSID"),
    "extension": (lambda _: b"\x80\x02\x82\x01.", "uses EXT1"),
    "buffer of elsewhere": (lambda _: b"\x80\x05\x97.", "uses NEXT_BUFFER"),
    "state of a name": (lambda _: b"cdatetime\ndatetime\n}b.", "sets the state of a Name"),
    "state of a dict": (lambda _: b"}}b.", "sets the state of a dict"),
    "call of a text": (lambda _: b"S'os.system'\n)R.", "calls a str"),
    "call of an array": (lambda _: b"cnumpy\nndarray\n)R.", "calls numpy.ndarray"),
    "call of a dtype": (lambda _: b"cnumpy\ndtype\n(S'f8'\ntR)R.", "calls a Dtype"),
    "entries of a class": (lambda _: b"cdatetime\ndatetime\nS'now'\nI1\ns.", "fills something as if it were a dict"),
}  # fmt: skip

LAUGHS = b"".join(
    [
        b"]q\x00(K\x01K\x01K\x01e",
        *(b"0](" + b"h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(30)),
        b".",
    ]
)
LISTS_OF_MANY = b"(" + b"K\x01" * 100_000 + b"lp0\n0(" + b"cbuiltins\nset\n(g0\ntR" * 1_000 + b"l."
HUGE_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I4000000000\nI4000000000\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS'x'\ntb."
#: Small where it is stored, and large or endless where it is believed.
BOMBS: dict[str, tuple[bytes, str]] = {
    "a billion laughs": (LAUGHS, "comes to more than 500,000 values"),
    "many copies of a long list": (LISTS_OF_MANY, "comes to more than 64 MB"),
    "shape without bytes": (HUGE_ARRAY, "128,000,000,000,000,000,000 bytes by its shape and of 1"),
    "negative shape": (HUGE_ARRAY.replace(b"I4000000000\n", b"I-1\n"), "without a sensible shape"),
    "long number": (dumps(1 << 400_000), "more than 77 digits"),
    "long number as text": (b"L" + b"9" * 5_000 + b"L\n.", "not a whole pickle"),
    "nested lists": (b"]" * 100_000 + b"a" * 99_999 + b".", "nested more than 32 deep"),
    "nested tuples": (b")" + b"\x85" * 100_000 + b".", "nested more than 32 deep"),
    "nested key": (b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.", "a tuple where a plain key belongs"),
    "key that hashes for ever": (b"\x80\x02}" + b")" + b"2\x86" * 200 + b"K\x01s.", "a tuple where a plain key belongs"),
    "list in a set": (b"\x80\x04\x8f(]\x90.", "a list where a plain key belongs"),
    "exponent": (b"cdecimal\nDecimal\n(S'1E+999999'\ntR.", "calls decimal.Decimal in a way"),
    "length that is not there": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.", "not a whole pickle"),
    "frame that is not there": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N", "not a whole pickle"),
    "memo that is not there": (b"h\x07.", "not a whole pickle"),
    "nothing on the stack": (b"a.", "not a whole pickle"),
    "no mark": (b"t.", "not a whole pickle"),
    "only a mark": (b"(.", "not a whole pickle"),
    "two values": (b"NN.", "not a whole pickle"),
    "lone surrogate": (dumps("\ud800"), "no database can store"),
}  # fmt: skip
ARRAYS: dict[str, tuple[bytes, str]] = {
    "objects": (b"", "array of objects, which is a pickle inside"),
    "no header": (b"\x93NUMPY", "not a whole .npy file"),
    "code for a header": (b"\x93NUMPY\x01\x00\x20\x00__import__('os').system('true')\n\n", "its header describes none"),
    "nested header": (b"\x93NUMPY\x01\x00" + struct.pack("<H", 9_000) + b"(" * 9_000, "its header describes none"),
    "endless header": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"{'descr': '<f8'", "its header describes none"),
    "records": (b"", "its header describes none"),
    "huge shape": (b"\x93NUMPY\x01\x00\x50\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (4000000000, 9)}".ljust(79) + b"\n", "bytes by its shape and of 0"),
    "texts": (b"\x93NUMPY\x01\x00\x40\x00" + b"{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}".ljust(63) + b"\nabcd", "dtype <U1"),
    "version": (b"\x93NUMPY\x07\x00\x00\x00", "of a version that holds more than numbers"),
    "no numbers": (b"", "one of its weights is not a finite number"),
    "none": (b"", "0 numbers"),
}  # fmt: skip

HELD = FNO["fno_system_state.json"]["portfolio"]["positions"]["NIFTY25SEP24650CE"]

events: list[str] = []
_listening: list[bool] = []


def _hear(event: str, _: Any) -> None:
    if _listening and (
        event in ("import", "exec", "compile", "open")
        or event.startswith(("os.", "subprocess.", "pickle.", "ctypes.", "socket."))
    ):
        events.append(event)


for codec in ("utf-8-sig", "raw-unicode-escape", "utf-8", "ascii", "latin-1"):
    codecs.lookup(codec)  # the first use of one imports a module of Python's own
sys.addaudithook(_hear)  # which nobody can take away: it hears nothing unless somebody listens


@contextmanager
def nothing_runs() -> Iterator[None]:
    """What the interpreter itself says of imports, code, processes and files meanwhile has to be nothing."""
    events.clear()
    _listening.append(True)
    try:
        yield
    finally:
        _listening.clear()
    assert events == []


def refusal(data: bytes) -> str:
    with nothing_runs(), pytest.raises(Refused) as raised:
        recognise(data, UTC)
    assert raised.value.message.isprintable()
    assert len(raised.value.message) < 200
    return raised.value.message


def test_the_ear_hears(tmp_path: Path):
    with pytest.raises(AssertionError), nothing_runs():
        (tmp_path / "x").open("wb").close()


def test_what_is_hostile_runs_where_it_is_believed(tmp_path: Path):
    """Else the refusals below would say little."""
    mark = tmp_path / "ran"
    pickle.loads(NAMED["system"][0](f"touch {mark}"))
    assert mark.exists()


@pytest.mark.parametrize("name", NAMED)
def test_whatever_could_run_is_refused_by_its_name(name: str, tmp_path: Path):
    mark = tmp_path / "ran"
    make, says = NAMED[name]
    data = make(f"touch {mark}")
    message = refusal(data)
    assert re.search(says, message), message
    assert not mark.exists()


@pytest.mark.parametrize("name", BOMBS)
def test_what_grows_where_it_is_read_is_refused(name: str):
    data, says = BOMBS[name]
    assert says in refusal(data)


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_is_none_is_refused(name: str):
    data, says = ARRAYS[name]
    if not data:
        file = io.BytesIO()
        made = {
            "records": np.zeros(1, dtype=[("a", "f8")]),
            "objects": np.array([Sets()], dtype=object),
            "no numbers": np.array([1.0, np.nan]),
            "none": np.zeros(0),
        }
        np.save(file, made[name], allow_pickle=True)
        data = file.getvalue()
    assert says in refusal(data)


@pytest.mark.parametrize("name", WHOLE)
def test_nasty_documents_are_refused(name: str):
    refusal(WHOLE[name])


def taken_or_refused(text: str) -> bool:
    """Whether it was taken; then nothing in it is what must not be there. Nothing runs, and a refusal is one line."""
    try:
        data = text.encode("utf-8", "surrogatepass")
        with nothing_runs():
            found = recognise(data, UTC)
    except Refused as error:
        assert error.message.isprintable(), error.message
        assert len(error.message) < 300
        return False
    assert wrong(found.memory) == "", text
    assert wrong(found.left_out) == "", text
    assert all(line.isprintable() and len(line) < 1_000 for line in described(found.memory))
    return True


@pytest.mark.parametrize("name", FNO)
def test_each_value_of_an_fno_file_made_wrong_is_taken_whole_or_refused(name: str):
    taken = [taken_or_refused(text) for text in each_value(json.dumps(FNO[name]))]
    assert 0.05 < sum(taken) / len(taken) < 0.5, "most of it is refused, and not for its shape alone"


@pytest.mark.parametrize("lot", [pytest.param(Lot(200), id="few"), *by_night(20_000)])
@pytest.mark.parametrize("name", FNO)
def test_fno_files_with_anything_made_wrong_are_taken_whole_or_refused(
    name: str, lot: Lot, request: pytest.FixtureRequest
):
    for text in lot.of(json.dumps(FNO[name]), request.config):
        taken_or_refused(text)


@pytest.mark.parametrize("name", WHOLE)
def test_nasty_documents_inside_an_fno_file_are_refused(name: str):
    """Where a position belongs."""
    text = json.dumps(FNO["fno_system_state.json"]).encode()
    inside = text.replace(json.dumps(HELD).encode(), WHOLE[name])
    assert inside != text
    refusal(inside)


def test_every_opcode_is_done_or_refused():
    """None is forgotten: alone on an empty stack each is a value, nothing, or a refusal."""
    for opcode in pickletools.opcodes:
        with nothing_runs():
            try:
                read(opcode.code.encode("latin-1") + b"\n" * 20 + b".")
            except Refused as error:
                assert error.message.isprintable()


@given(st.sampled_from(sorted(STORED)), st.data())
def test_a_stored_file_with_bytes_changed_is_read_or_refused(name: str, data: st.DataObject):
    changed = bytearray(STORED[name])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        cut = data.draw(st.integers(0, 3))
        changed[at : at + cut] = data.draw(st.binary(max_size=4))
        if not changed:
            return
    try:
        with nothing_runs():
            recognise(bytes(changed), UTC)
    except Refused as error:
        assert error.message.isprintable(), error.message


OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
PIECES = [
    *OPCODES, b"K\x01", b"U\x01a", b"C\x02ab", b"q\x00", b"h\x00", b"cos\nsystem\n", b"cnumpy\ndtype\n", b"cdatetime\ndatetime\n",
    b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n", b"ccollections\ndeque\n", b"c_codecs\nencode\n",
    b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n", b"S'f8'\n", b"I5\n", b"(lp0\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30))
def test_instructions_in_any_order_are_read_or_refused(pieces: list[bytes]):
    try:
        with nothing_runs():
            walked(read(b"".join(pieces) + b"."))
    except Refused as error:
        assert error.message.isprintable(), error.message
