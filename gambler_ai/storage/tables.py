"""The schema, the same on SQLite and Postgres. `migrations/` builds it; a test holds the two together."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from gambler_ai.storage import fencing

#: The newest migration. A database at any other revision is not touched.
SCHEMA_HEAD = "0005"


class Exact(TypeDecorator[Decimal]):
    """A Decimal of up to nine places, exactly: text on SQLite (its NUMERIC is a float), NUMERIC elsewhere."""

    impl = sa.Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Decimal]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(40))  # type: ignore[arg-type]
        return dialect.type_descriptor(sa.Numeric(30, 9))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> object:
        if value is None or dialect.name != "sqlite":
            return value
        return f"{value:f}"

    def process_result_value(self, value: object, dialect: Dialect) -> Decimal | None:
        if value is None or dialect.name == "sqlite":
            return None if value is None else Decimal(str(value))
        number = Decimal(str(value)).normalize()  # NUMERIC fills up to nine places
        return number.quantize(Decimal(1)) if number.as_tuple().exponent > 0 else number  # type: ignore[operator]


class Utc(TypeDecorator[datetime]):
    """An aware UTC instant: sortable ISO text on SQLite (which forgets time zones), timestamptz elsewhere."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(32))  # type: ignore[arg-type]
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a time zone cannot be stored")
        value = value.astimezone(UTC)
        return value.isoformat(timespec="microseconds") if dialect.name == "sqlite" else value

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(instant, datetime)
        return instant.astimezone(UTC)


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

_ID = sa.String(64)
_WORD = sa.String(32)


def _token() -> sa.Column[int]:
    return sa.Column("token", sa.BigInteger, nullable=False, server_default="0")  # 0: from before there was one


def _session(*, primary: bool = False) -> sa.Column[str]:
    return sa.Column("session_id", _ID, sa.ForeignKey("sessions.id"), primary_key=primary, nullable=False)


sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("broker", _WORD, nullable=False),
    sa.Column("trading_url", sa.String(255), nullable=False),
    sa.Column("account_id", _ID, nullable=False, index=True),
    sa.Column("symbols", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("initial_capital", Exact, nullable=True),
    sa.Column("status", _WORD, nullable=False),
    sa.Column("end_reason", sa.Text, nullable=False),
    sa.Column("started_at", Utc, nullable=False),  # session clock
    sa.Column("last_at", Utc, nullable=False),  # session clock
    sa.Column("created_at", Utc, nullable=False, index=True),  # wall clock
    sa.Column("updated_at", Utc, nullable=False),  # wall clock
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("journal_hash", sa.String(64), nullable=False),
    sa.Column("checkpoints", sa.Integer, nullable=False),  # ever created
    sa.Column("closed_trades", sa.Integer, nullable=False),
    sa.Column("realized_pnl", Exact, nullable=False),
    sa.Column("iteration", sa.BigInteger, nullable=False, server_default="0"),  # scans so far
)

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("account_id", _ID, primary_key=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("session_id", _ID, nullable=False),
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("acquired_at", Utc, nullable=False),
    sa.Column("until", Utc, nullable=False),  # the database's clock
    sa.Column("released", sa.Boolean, nullable=False),
    sa.Column("until_s", sa.Double, nullable=True),  # the same on the owner's clock since boot, which nobody sets
)

journal = sa.Table(
    "journal",
    metadata,
    _session(primary=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),  # of the row before, and of this one
    sa.Column("token", sa.BigInteger, nullable=False),
)

intents = sa.Table(
    "intents",
    metadata,
    sa.Column("client_order_id", _ID, primary_key=True),
    _session(),
    sa.Column("account_id", _ID, nullable=False),
    sa.Column("decision_id", sa.String(255), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("purpose", _WORD, nullable=False),
    sa.Column("strategy", _ID, nullable=False),
    sa.Column("symbol", _WORD, nullable=False),
    sa.Column("side", _WORD, nullable=False),
    sa.Column("qty", Exact, nullable=False),
    sa.Column("stop_price", Exact, nullable=True),
    sa.Column("target_price", Exact, nullable=True),
    sa.Column("status", _WORD, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("decided_at", Utc, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("body_sha256", sa.String(64), nullable=False),
    sa.Column("market_day", _WORD, nullable=True),  # entries only: the day its limits count
    _token(),
    sa.Column("structure_id", _ID, nullable=True),  # what it opens, goes on opening, or closes
    sa.UniqueConstraint("account_id", "session_id", "decision_id", "attempt", name="uq_intents_decision"),
)

_OPEN = sa.text(
    "purpose = 'entry' AND status IN ('planned', 'unknown', 'working', 'partially_filled',"
    " 'pending_cancel', 'pending_replace', 'disputed')"
)
_OPEN_ENTRY = sa.Index("uq_intents_open_entry", intents.c.account_id, intents.c.symbol, unique=True, sqlite_where=_OPEN)


@sa.event.listens_for(metadata, "before_create")
def _on_postgres_too(_metadata: sa.MetaData, db: Connection, **_: object) -> None:
    """Said only there: naming a dialect imports it, and Postgres's takes longer than a whole restore."""
    if db.dialect.name == "postgresql":
        _OPEN_ENTRY.kwargs["postgresql_where"] = _OPEN


@sa.event.listens_for(metadata, "after_create")
def _fence(_metadata: sa.MetaData, db: Connection, **_: object) -> None:
    fencing.create(db)


sa.Index("ix_intents_session_id", intents.c.session_id)
sa.Index("ix_intents_day", intents.c.account_id, intents.c.market_day)

orders = sa.Table(
    "orders",
    metadata,
    _session(primary=True),
    sa.Column("order_id", _ID, primary_key=True),
    sa.Column("client_order_id", sa.String(128), nullable=False),
    sa.Column("intent_id", _ID, sa.ForeignKey("intents.client_order_id"), nullable=False),
    sa.Column("parent_id", _ID, nullable=True),
    sa.Column("role", _WORD, nullable=False),
    sa.Column("symbol", _WORD, nullable=False),
    sa.Column("side", _WORD, nullable=False),
    sa.Column("type", _WORD, nullable=False),
    sa.Column("order_class", _WORD, nullable=False),
    sa.Column("qty", Exact, nullable=False),
    sa.Column("filled_qty", Exact, nullable=False),
    sa.Column("filled_avg_price", Exact, nullable=True),
    sa.Column("booked_qty", Exact, nullable=False),
    sa.Column("limit_price", Exact, nullable=True),
    sa.Column("stop_price", Exact, nullable=True),
    sa.Column("status", _WORD, nullable=False),
    sa.Column("broker_status", _WORD, nullable=False),
    sa.Column("submitted_at", Utc, nullable=False),
    sa.Column("updated_at", Utc, nullable=False),
)

fills = sa.Table(
    "fills",
    metadata,
    _session(primary=True),
    sa.Column("activity_id", sa.String(128), primary_key=True),
    sa.Column("order_id", _ID, nullable=False),
    sa.Column("symbol", _WORD, nullable=False),
    sa.Column("side", _WORD, nullable=False),
    sa.Column("qty", Exact, nullable=False),
    sa.Column("price", Exact, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.ForeignKeyConstraint(
        ["session_id", "order_id"], ["orders.session_id", "orders.order_id"], name="fk_fills_order"
    ),
)

positions = sa.Table(
    "positions",
    metadata,
    _session(primary=True),
    sa.Column("symbol", _WORD, primary_key=True),
    sa.Column("qty", Exact, nullable=False),
    sa.Column("side", _WORD, nullable=False),
    sa.Column("avg_entry_price", Exact, nullable=False),
    sa.Column("entry_at", Utc, nullable=False),
    sa.Column("stop_price", Exact, nullable=True),
    sa.Column("target_price", Exact, nullable=True),
    sa.Column("strategy", _ID, nullable=False),
    sa.Column("position_id", _ID, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("structure_id", _ID, nullable=True),  # what it is a leg of
    sa.Column("greeks", sa.Text, nullable=True),  # JSON: of a contract, when it was opened
)

#: What is opened together, and why; the row stays when it has ended.
structures = sa.Table(
    "structures",
    metadata,
    _session(primary=True),
    sa.Column("structure_id", _ID, primary_key=True),  # the client order id of the intent that opened it
    sa.Column("strategy", _ID, nullable=False),
    sa.Column("underlying", _WORD, nullable=False),
    sa.Column("sector", sa.Text, nullable=False),
    sa.Column("legs", sa.Text, nullable=False),  # JSON: symbols with their signed ratios
    sa.Column("units", sa.Integer, nullable=False),
    sa.Column("entry_price", Exact, nullable=False),  # net prices: dollars a share, a credit is negative
    sa.Column("stop_price", Exact, nullable=True),
    sa.Column("target_price", Exact, nullable=True),
    sa.Column("max_loss", Exact, nullable=True),  # dollars a unit, like the next
    sa.Column("max_profit", Exact, nullable=True),
    sa.Column("confidence", Exact, nullable=True),
    sa.Column("exits", sa.Text, nullable=False),  # JSON
    sa.Column("greeks", sa.Text, nullable=False),  # JSON: of each contract, when it was decided
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("cash", Exact, nullable=False),  # dollars that it has brought so far
    sa.Column("filled", sa.Boolean, nullable=False),
    sa.Column("settled", sa.Boolean, nullable=False),
    sa.Column("opened_at", Utc, nullable=False),
    sa.Column("ended_at", Utc, nullable=True),
    sa.Column("end_reason", sa.Text, nullable=False),
    _token(),
)
sa.Index("ix_structures_open", structures.c.session_id, structures.c.ended_at)

closed_trades = sa.Table(
    "closed_trades",
    metadata,
    _session(primary=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position_id", _ID, nullable=False),
    sa.Column("symbol", _WORD, nullable=False),
    sa.Column("side", _WORD, nullable=False),
    sa.Column("qty", Exact, nullable=False),
    sa.Column("entry_price", Exact, nullable=False),
    sa.Column("entry_at", Utc, nullable=False),
    sa.Column("exit_price", Exact, nullable=True),
    sa.Column("exit_at", Utc, nullable=False),
    sa.Column("pnl", Exact, nullable=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("strategy", _ID, nullable=False),
    sa.Column("leverage", Exact, nullable=True),  # what it was worth at its entry, in equities of that moment
    sa.Column("multiplier", sa.Integer, nullable=False, server_default="1"),  # 100 of a structure: its prices are net
    sa.Column("structure_id", _ID, nullable=True),
)

discrepancies = sa.Table(
    "discrepancies",
    metadata,
    _session(primary=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("symbol", _WORD, nullable=False),
    sa.Column("order_id", sa.String(128), nullable=False),
    sa.Column("ours", sa.Text, nullable=False),
    sa.Column("broker", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    _session(primary=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Utc, nullable=False),  # session clock
    sa.Column("created_at", Utc, nullable=False),  # wall clock
    sa.Column("seq", sa.BigInteger, nullable=False),  # the last journal row it contains
    sa.Column("journal_hash", sa.String(64), nullable=False),
    sa.Column("state_version", sa.Integer, nullable=False),
    sa.Column("length", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("portfolio_value", Exact, nullable=False),
    sa.Column("equity", Exact, nullable=False),
    sa.Column("buying_power", Exact, nullable=False),
    sa.Column("cash", Exact, nullable=False),
    sa.Column("active_positions", sa.Integer, nullable=False),
    sa.Column("closed_trades", sa.Integer, nullable=False),
    _token(),
)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("account_id", _ID, nullable=False),
    _session(),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("argument", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("asked_by", sa.String(255), nullable=False),
    sa.Column("asked_at", Utc, nullable=False),  # wall clock
    sa.Column("taken_at", Utc, nullable=True),  # wall clock; null until a runner has taken it
    sa.Column("answer", sa.Text, nullable=False),
)
sa.Index("ix_requests_open", requests.c.session_id, requests.c.taken_at)

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),  # of what is in it, before it is compressed
    sa.Column("length", sa.BigInteger, nullable=False),  # likewise
    sa.Column("payload", sa.LargeBinary, nullable=False),  # zlib
    sa.Column("created_at", Utc, nullable=False),  # wall clock
)

components = sa.Table(
    "components",
    metadata,
    _session(primary=True),
    sa.Column("name", _WORD, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", _ID, nullable=False),
    sa.Column("at", Utc, nullable=False),  # session clock
    sa.Column("created_at", Utc, nullable=False),  # wall clock
    sa.Column("seq", sa.BigInteger, nullable=False),  # the last journal row it contains
    sa.Column("schema", sa.Integer, nullable=False),  # the component's own version of its content
    sa.Column("format", _WORD, nullable=False),
    sa.Column("libraries", sa.Text, nullable=False),  # JSON: name -> version that wrote it
    sa.Column("sha256", sa.String(64), nullable=False),  # a blob's
    sa.Column("set_aside", sa.Text, nullable=False),  # why it is not used any more; empty: it is good
    _token(),
)
sa.Index("ix_components_account", components.c.account_id, components.c.name)

archive = sa.Table(
    "archive",
    metadata,
    _session(primary=True),
    sa.Column("kind", _WORD, primary_key=True),  # of fact, or the table that the rows are from
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),  # row numbers there
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("begin_at", Utc, nullable=False),
    sa.Column("end_at", Utc, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("length", sa.BigInteger, nullable=False),  # of what is in it, before it is compressed
    sa.Column("sha256", sa.String(64), nullable=False),  # likewise
    sa.Column("payload", sa.LargeBinary, nullable=False),  # zlib
    sa.Column("summary", sa.Text, nullable=False),  # JSON: what a report needs without the rows
    _token(),
)
