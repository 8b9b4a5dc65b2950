"""Reads a pickle without unpickling it: no class is looked up, no module imported, nothing in it is called.

A pickle is a program for a small machine. This is that machine, with another idea of a name: a name is a text, and the
few that are known (`constructors.py`) have a function of ours that makes a plain value from plain values. Every other
one is refused as soon as it is mentioned. The opcodes are taken apart by `pickletools`, which runs none of them.
"""

from __future__ import annotations

import io
import pickletools
import struct
import warnings
from collections.abc import Callable
from typing import Any

from gambler_ai.ancestors.arrays import Array, Dtype, JoblibArray
from gambler_ai.ancestors.constructors import CONSTRUCTORS, Name, fill, name_of
from gambler_ai.ancestors.plain import CHARACTERS_MAX, check_key, check_number
from gambler_ai.ancestors.refusal import Refused

#: Instructions; a file of the ancestors with 10,000 trades and as many equity points has half a million.
STEPS_MAX = 3_000_000
#: What an entry of a container weighs, beside a character of a text.
_ENTRY = 32

#: What `pickletools` raises at bytes that are no pickle; or warns of: an escape that no program writes.
_GARBLED = (ValueError, IndexError, KeyError, EOFError, OverflowError, AssertionError, struct.error, Warning)

_MARK = object()
_TEXTS = frozenset({str, bytes})
_ENTRIES = frozenset({list, tuple, set, frozenset})


def read(data: bytes) -> Any:
    """What a pickle of plain containers, numbers, times and numeric arrays holds; arrays are still `Array`.

    Raises:
        Refused: it holds something else, or is not whole.
    """
    file = io.BytesIO(data)
    machine = _Machine(file)
    steps = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for opcode, argument, _ in pickletools.genops(file):
                steps += 1
                if steps > STEPS_MAX:
                    raise Refused(f"the pickle has more than {STEPS_MAX:,} instructions")
                machine.step(opcode.name, argument)
    except Refused:
        raise
    except _GARBLED:
        raise Refused(
            "it is not a whole pickle", hint="copy the file again; nothing can be taken of half of it"
        ) from None
    except RecursionError:
        raise Refused("the pickle is nested too deeply") from None
    if file.read(1):
        raise Refused("there is more behind the end of the pickle")
    return machine.result()


class _Machine:
    """The stack and the memo. Each step takes an opcode's name and its argument."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0

    def result(self) -> Any:
        """What is left when the program has ended."""
        if len(self._stack) != 1 or self._stack[0] is _MARK:
            raise Refused("it is not a whole pickle")
        return self._stack[0]

    def step(self, opcode: str, argument: Any) -> None:
        """Do one instruction.

        Raises:
            Refused: it is not one that plain data needs, or does not fit what is on the stack.
        """
        if opcode in _PUSH:
            self._stack.append(check_number(argument))
        elif opcode in _MAKE:
            self._stack.append(_MAKE[opcode]())
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        elif opcode not in _NOTHING:
            raise Refused(f"the pickle uses {opcode}, which plain data never needs")

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise Refused("it is not a whole pickle")
        return self._stack.pop()

    def _pop_mark(self) -> list[Any]:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                found = self._stack[at + 1 :]
                del self._stack[at:]
                return found
        raise Refused("it is not a whole pickle")

    def _top(self, kind: type[Any]) -> Any:
        """What is to be filled: a container of exactly ``kind``."""
        if not self._stack or type(self._stack[-1]) is not kind:
            raise Refused(f"the pickle fills something as if it were a {kind.__name__}")
        return self._stack[-1]

    # -- containers -------------------------------------------------------------------------------

    def _mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _drop(self, _: Any) -> None:
        if not self._stack:
            raise Refused("it is not a whole pickle")
        self._stack.pop()

    def _drop_mark(self, _: Any) -> None:
        self._pop_mark()

    def _again(self, _: Any) -> None:
        top = self._pop()
        self._stack += [top, top]

    def _list(self, _: Any) -> None:
        self._stack.append(self._pop_mark())

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _short_tuple(self, count: int) -> None:
        found = [self._pop() for _ in range(count)]
        self._stack.append(tuple(reversed(found)))

    def _dict(self, _: Any) -> None:
        items = self._pop_mark()
        self._stack.append({})
        self._set(items)

    def _frozenset(self, _: Any) -> None:
        self._stack.append(frozenset(check_key(item) for item in self._pop_mark()))

    def _append(self, _: Any) -> None:
        item = self._pop()
        self._top(list).append(item)

    def _appends(self, _: Any) -> None:
        items = self._pop_mark()
        self._top(list).extend(items)

    def _set_item(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _set_items(self, _: Any) -> None:
        self._set(self._pop_mark())

    def _set(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise Refused("it is not a whole pickle")
        found = self._top(dict)
        for at in range(0, len(items), 2):
            found[check_key(items[at])] = items[at + 1]

    def _add_items(self, _: Any) -> None:
        items = self._pop_mark()
        self._top(set).update(check_key(item) for item in items)

    # -- the memo ---------------------------------------------------------------------------------

    def _put(self, at: Any) -> None:
        item = self._pop()
        self._stack.append(item)
        self._memo[at] = item

    def _memoize(self, _: Any) -> None:
        self._put(len(self._memo))

    def _get(self, at: Any) -> None:
        if at not in self._memo:
            raise Refused("it is not a whole pickle")
        self._stack.append(self._memo[at])

    # -- names, and what they make ----------------------------------------------------------------

    def _global(self, argument: Any) -> None:
        module, _, attribute = argument.partition(" ")
        self._stack.append(name_of(module, attribute))

    def _stack_global(self, _: Any) -> None:
        attribute, module = self._pop(), self._pop()
        if type(module) is not str or type(attribute) is not str:
            raise Refused("the pickle makes up a name while it is read")
        self._stack.append(name_of(module, attribute))

    def _reduce(self, _: Any) -> None:
        arguments, name = self._pop(), self._pop()
        make = CONSTRUCTORS.get(name.dotted) if type(name) is Name else None
        if make is None or type(arguments) is not tuple:
            what = name.dotted if type(name) is Name else f"a {type(name).__name__}"
            raise Refused(f"the pickle calls {what}")
        self._charge(arguments)
        try:
            self._stack.append(make(*arguments))
        except (TypeError, ValueError, ArithmeticError) as error:
            if isinstance(error, Refused):
                raise
            raise Refused(f"the pickle calls {name.dotted} in a way that is not known") from None

    def _build(self, _: Any) -> None:
        state = self._pop()
        target = self._stack[-1] if self._stack else None
        if type(target) not in (Array, Dtype, JoblibArray):
            raise Refused(f"the pickle sets the state of a {type(target).__name__}")
        self._charge(state)
        fill(target, state)
        if type(target) is JoblibArray:
            target.take(self._file)  # joblib writes an array's bytes right behind it, in the middle of the pickle

    def _charge(self, parts: Any) -> None:
        """What is made from parts copies them, and one part can be mentioned a million times."""
        for part in parts if type(parts) is tuple else ():
            kind = type(part)
            self._copied += len(part) if kind in _TEXTS else len(part) * _ENTRY if kind in _ENTRIES else 1
        if self._copied > CHARACTERS_MAX:
            raise Refused(f"it comes to more than {CHARACTERS_MAX >> 20} MB")


def _short(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine._short_tuple(count)


_PUSH = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_MAKE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_NOTHING = frozenset({"PROTO", "FRAME", "STOP"})
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark, "POP": _Machine._drop, "POP_MARK": _Machine._drop_mark, "DUP": _Machine._again,
    "LIST": _Machine._list, "TUPLE": _Machine._tuple, "DICT": _Machine._dict, "FROZENSET": _Machine._frozenset,
    "TUPLE1": _short(1), "TUPLE2": _short(2), "TUPLE3": _short(3),
    "APPEND": _Machine._append, "APPENDS": _Machine._appends, "ADDITEMS": _Machine._add_items,
    "SETITEM": _Machine._set_item, "SETITEMS": _Machine._set_items,
    "PUT": _Machine._put, "BINPUT": _Machine._put, "LONG_BINPUT": _Machine._put, "MEMOIZE": _Machine._memoize,
    "GET": _Machine._get, "BINGET": _Machine._get, "LONG_BINGET": _Machine._get,
    "GLOBAL": _Machine._global, "STACK_GLOBAL": _Machine._stack_global,
    "REDUCE": _Machine._reduce, "NEWOBJ": _Machine._reduce, "BUILD": _Machine._build,
}  # fmt: skip
