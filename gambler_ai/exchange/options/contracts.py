"""An option contract, its OCC symbol, and its id, from which the symbol can be read back."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import date
from decimal import Decimal
from typing import NamedTuple

CALL, PUT = "call", "put"
MULTIPLIER = 100  # shares a contract: its price counts so many times
STOCK_MULTIPLIER = 1
_OCC = re.compile(r"([A-Z][A-Z0-9.]{0,5})(\d{6})([CP])(\d{8})")
_STRIKE_SCALE = 1000
_LETTERS = " ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789."
_ROOT_LETTERS, _PAYLOAD_BITS, _TAG_BITS = 6, 82, 40  # 122 bits are free in a UUID of version 4
_EPOCH = date(1970, 1, 1).toordinal()


class Contract(NamedTuple):
    """An American-style option on 100 shares; ``kind`` is call or put, ``strike`` is dollars a share."""

    underlying: str
    expiry: date
    kind: str
    strike: Decimal

    @property
    def symbol(self) -> str:
        """Alpaca's form of the OCC symbol, without the spaces: AAPL250620C00100000."""
        return f"{self.underlying}{self.expiry:%y%m%d}{self.kind[0].upper()}{int(self.strike * _STRIKE_SCALE):08d}"

    @property
    def id(self) -> str:
        """A UUID of version 4 that holds the contract, so that a look-up by id needs no list of all contracts."""
        payload = _packed(self)
        tag = _hash(b"tag%d" % payload, _TAG_BITS)
        return _unfolded((tag << _PAYLOAD_BITS) | (payload ^ _hash(b"mask%d" % tag, _PAYLOAD_BITS)))

    @property
    def name(self) -> str:
        return f"{self.underlying} {self.expiry:%b %d %Y} {self.strike.normalize():f} {self.kind.title()}"

    def intrinsic(self, spot: Decimal) -> Decimal:
        """What exercise is worth a share at this price of the underlying, not below zero."""
        return max(spot - self.strike if self.kind == CALL else self.strike - spot, Decimal(0))


def parse_symbol(text: str) -> Contract | None:
    """None for what is no OCC symbol; whether the contract was ever listed is another question."""
    match = _OCC.fullmatch(text)
    if match is None:
        return None
    root, day, kind, strike = match.groups()
    try:
        expiry = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError:
        return None
    if not int(strike):
        return None
    return Contract(root, expiry, CALL if kind == "C" else PUT, Decimal(int(strike)) / _STRIKE_SCALE)


def is_option(symbol: str) -> bool:
    """Is it shaped like a contract's symbol? A stock's is at most six characters long."""
    return len(symbol) > _ROOT_LETTERS and _OCC.fullmatch(symbol) is not None


def multiplier(symbol: str) -> int:
    """Shares a unit of this symbol stands for."""
    return MULTIPLIER if is_option(symbol) else STOCK_MULTIPLIER


def parse_id(text: str) -> Contract | None:
    """None for a UUID that is no contract's."""
    try:
        number = uuid.UUID(text)
    except ValueError:
        return None
    folded = _folded(number)
    tag, masked = folded >> _PAYLOAD_BITS, folded & ((1 << _PAYLOAD_BITS) - 1)
    contract = _unpacked(masked ^ _hash(b"mask%d" % tag, _PAYLOAD_BITS))
    return contract if contract is not None and contract.id == str(number) else None


def find(symbol_or_id: str) -> Contract | None:
    return parse_symbol(symbol_or_id.upper()) or parse_id(symbol_or_id)


def _hash(data: bytes, bits: int) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "big") >> (128 - bits)


def _packed(contract: Contract) -> int:
    """Root (6 letters of 38), days since 1970 (16 bits), call or put, strike in tenths of a cent (27 bits)."""
    root = 0
    for letter in contract.underlying.ljust(_ROOT_LETTERS):
        root = root * len(_LETTERS) + _LETTERS.index(letter)
    days = contract.expiry.toordinal() - _EPOCH
    return (((root << 16 | days) << 1 | (contract.kind == CALL)) << 27) | int(contract.strike * _STRIKE_SCALE)


def _unpacked(payload: int) -> Contract | None:
    strike, rest = payload & ((1 << 27) - 1), payload >> 27
    kind, rest = (CALL if rest & 1 else PUT), rest >> 1
    days, root = rest & 0xFFFF, rest >> 16
    letters = []
    for _ in range(_ROOT_LETTERS):
        root, letter = divmod(root, len(_LETTERS))
        letters.append(_LETTERS[letter])
    name = "".join(reversed(letters)).rstrip()
    text = f"{name}{date.fromordinal(_EPOCH + days):%y%m%d}{kind[0].upper()}{strike:08d}"
    return parse_symbol(text)


def _unfolded(bits: int) -> str:
    """122 bits -> a UUID, around the bits that say its version and variant."""
    high, middle, low = bits >> 74, bits >> 62 & 0xFFF, bits & ((1 << 62) - 1)
    return str(uuid.UUID(int=high << 80 | 4 << 76 | middle << 64 | 2 << 62 | low))


def _folded(number: uuid.UUID) -> int:
    value = number.int
    return (value >> 80) << 74 | (value >> 64 & 0xFFF) << 62 | value & ((1 << 62) - 1)
