"""OCC symbols and the ids that hold them."""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.exchange.options.contracts import CALL, PUT, Contract, find, is_option, parse_id, parse_symbol

contracts = st.builds(
    Contract,
    st.from_regex(r"[A-Z][A-Z0-9.]{0,5}", fullmatch=True),
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    st.sampled_from([CALL, PUT]),
    st.integers(1, 99_999_999).map(lambda thousandths: Decimal(thousandths) / 1000),
)


@given(contracts)
def test_a_symbol_and_an_id_say_which_contract_it_is(contract):
    assert parse_symbol(contract.symbol) == contract
    assert parse_id(contract.id) == contract
    assert find(contract.id.upper()) == find(contract.symbol.lower()) == contract
    assert is_option(contract.symbol)
    assert uuid.UUID(contract.id).version == 4
    assert uuid.UUID(contract.id).variant == uuid.RFC_4122


@given(contracts, contracts)
def test_other_contracts_have_other_ids(one, other):
    assert (one.id == other.id) == (one == other)


@given(st.uuids(version=4))
def test_a_foreign_id_is_no_contract(number):
    assert parse_id(str(number)) is None


@given(st.text(max_size=25))
def test_no_text_makes_the_parser_raise(text):
    contract = parse_symbol(text)
    assert contract is None or contract.symbol == text
    parse_id(text)


def test_the_parts_stand_where_occ_puts_them():
    contract = parse_symbol("AAPL250620C00100500")
    assert contract == Contract("AAPL", date(2025, 6, 20), CALL, Decimal("100.5"))
    assert contract.name == "AAPL Jun 20 2025 100.5 Call"


@pytest.mark.parametrize(
    "text",
    ["AAPL", "AAPL250620X00100000", "AAPL250632C00100000", "AAPL250620C00000000", "aapl250620C00100000",
     "AAPL25062C00100000", "TOOLONG250620C00100000", "AAPL250620C001000000", "250620C00100000", ""],
)  # fmt: skip
def test_what_is_no_symbol(text):
    assert parse_symbol(text) is None
    assert not is_option("AAPL")
