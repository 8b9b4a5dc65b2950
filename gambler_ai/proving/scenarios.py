"""What is killed: twelve short stretches of trading, each of another kind of trouble.

A scenario is a list of steps: the program run with arguments, or what hands do meanwhile at the exchange, in the
state directory or in the database. Some runs are killed by the recipe itself, to have something to recover from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gambler_ai.proving.processes import KILLED, Surprise
from gambler_ai.proving.remembering import Remembering
from gambler_ai.proving.world import World

Args = tuple[str, ...]
#: Stop and target so far away that neither is met.
WIDE = ("--stop-loss-pct", "40", "--take-profit-pct", "40")
#: Many entries.
EAGER = ("--set", "change_pct=0.3", "--set", "volume_ratio=0.5")
#: Momentum that remembers each fact.
REMEMBERING = f"{Remembering.__module__}:{Remembering.__name__}"
#: Condors that leave for a small loss; or what expires tomorrow, and stays until then.
CONDORS = ("--strategy", "iron_condor", "--set", "loss_multiple=0.16")
EXPIRING = (
    "--strategy", "iron_condor", "--set", "dte_min=0", "--set", "dte_max=1", "--set", "delta=0.4",
    "--set", "exit_days_left=null", "--set", "profit_share=null", "--set", "loss_multiple=null",
    "--set", "time_value=null", "--set", "max_spread_pct=200",
)  # fmt: skip
RESUME = ("--resume",)
#: The market's time at which a scenario begins: a minute before the first signal.
AT = ("--at", "2008-10-07T09:34")


@dataclass(frozen=True)
class Run:
    """The program, once. ``args`` may be drawn from the world as it stands by then.

    ``killed_at`` is where the recipe kills it (a crash point), ``again`` what takes up a run that was killed (the
    same once more without it), ``codes`` how it may end.
    """

    args: Args | Callable[[World], Args]
    killed_at: str = ""
    again: Args | None = None
    codes: tuple[int, ...] = (0,)

    def arguments(self, world: World) -> Args:
        """Its arguments in this world."""
        return self.args(world) if callable(self.args) else self.args

    @property
    def endings(self) -> tuple[int, ...]:
        """The exit codes that it may have when it is not killed by anybody else."""
        return (*self.codes, KILLED) if self.killed_at else self.codes


Step = Run | Callable[[World], None]


@dataclass(frozen=True)
class Scenario:
    """``exchange`` are options of `exchange serve`; ``foreign`` symbols in which hands trade as well."""

    name: str
    what: str
    steps: tuple[Step, ...]
    exchange: Args = ()
    foreign: tuple[str, ...] = ()


def session(symbols: str, minutes: float, *more: str, killed_at: str = "") -> Run:
    """A fresh session, as fast as it goes; a killed one is resumed."""
    args = ("--symbols", symbols, "--duration", f"{minutes:g}", "--speed", "0", *more)
    return Run(args, killed_at=killed_at, again=RESUME)


def resume(minutes: float = 0) -> Run:
    """The session again, for what it has left or for so many minutes."""
    return Run((*RESUME, "--duration", f"{minutes:g}") if minutes else RESUME)


# -- what hands do --------------------------------------------------------------------------------


def faults(*rows: dict[str, object]) -> Step:
    """What goes wrong at the exchange from here on; nothing more without any."""
    return lambda world: world.there.plan(*rows)


def three_dummies(world: World) -> None:
    """Orders that are gone at once: they move the number of the next, and with it how that one is filled."""
    for _ in range(3):
        world.there.make_a_dummy()


def lose_the_legs(world: World) -> None:
    """Cancel by hand what protects each position."""
    for symbol in world.there.positions():
        world.there.cancel_legs(symbol)


def hold_nvda(world: World) -> None:
    """A position taken by hand."""
    world.there.hold("NVDA", "sell", "7")


def close_msft(world: World) -> None:
    """Close a position of ours by hand."""
    world.there.cancel_legs("MSFT")
    held = world.there.positions()["MSFT"]
    world.there.hold("MSFT", "sell" if held > 0 else "buy", f"{abs(held):f}")


def close_a_short_leg(world: World) -> None:
    """Buy back by hand one of the contracts that are sold, and leave the rest of the structure."""
    symbol, held = min(world.there.positions().items(), key=lambda one: one[1])
    world.there.hold(symbol, "buy", f"{-held:f}")


def over_a_weekend(world: World) -> None:
    """Past the expiry, to a minute or two after the next open."""
    world.there.pass_time(days=4)


def place_another(world: World) -> None:
    """Another order of another size under the id of ours that was not sent."""
    [row] = world.books.rows("SELECT client_order_id, symbol, side FROM intents")
    world.there.place(row["symbol"], row["side"], "7", client_order_id=row["client_order_id"])


def halt_by_file(world: World) -> None:
    """No entries, and nothing is sent again."""
    (world.home / "HALT").write_text("verify-crash\n")


def unhalt(world: World) -> None:
    """The file is gone, and the broker's look-ups work again."""
    (world.home / "HALT").unlink()
    world.there.plan()


def spoil_a_checkpoint(world: World) -> None:
    """The newest one does not verify any more."""
    newest = "number = (SELECT max(number) FROM checkpoints)"
    if world.books.write(f"UPDATE checkpoints SET sha256 = ? WHERE {newest}", "x") != 1:  # noqa: S608
        raise Surprise("there is no checkpoint to spoil")


def resolve(world: World) -> Args:
    """A person's word on the order that nobody can tell of."""
    [row] = world.books.rows("SELECT client_order_id FROM intents WHERE purpose = 'entry' ORDER BY decided_at LIMIT 1")
    return ("orders", "resolve", row["client_order_id"], "--as", "broker")


# -- the recipes ----------------------------------------------------------------------------------

_NEVER_LISTED: dict[str, object] = {"kind": "not_found_for", "times": "always"}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "market",
            "two entries, prices that fail once, streams; everything is sold at the end",
            (
                faults({"kind": "500", "path": "/v2/stocks"}),
                session(
                    "AAPL,MSFT",
                    7,
                    "--on-exit",
                    "flatten",
                    "--streams",
                    "on",
                    "--keep-checkpoints",
                    "1",
                    "--history-limit",
                    "1",
                ),
            ),
        ),
        Scenario(
            "limit",
            "entries and targets at a limit; an entry that never arrives and is sent again",
            (
                faults({"kind": "reset", "method": "POST", "path": "/v2/orders"}),
                session("AAPL,MSFT", 7, "--limit-pct", "0.1", "--take-profit-pct", "0.2", "--on-exit", "cancel"),
            ),
        ),
        Scenario(
            "bracket",
            "four brackets, stops that are met; legs canceled by hand while it was dead; a strategy that remembers",
            (
                session("AAPL,MSFT,IBM,GOOGL", 12, "--stop-loss-pct", "1", "--strategy", REMEMBERING, *EAGER),
                lose_the_legs,
                resume(3),
            ),
        ),
        Scenario(
            "partial",
            "an entry that is filled in part, canceled at its deadline and protected",
            (three_dummies, session("AAPL", 4, "--position-size", "50000", killed_at="submit.after:1"), resume()),
            exchange=("--seed", "3649"),
        ),
        Scenario(
            "exit",
            "a position of a hand's is adopted, then all is closed at market by a command",
            (
                session("AAPL,MSFT", 7, *WIDE),
                hold_nvda,
                Run(("reconcile", "--adopt", "NVDA"), codes=(0, 2)),
                Run(("flatten", "--yes")),
            ),
        ),
        Scenario(
            "cancel",
            "an entry nobody can find is given up and comes late; cancels without an answer",
            (
                session("AAPL,MSFT", 4, *WIDE, killed_at="submit.after:1"),
                halt_by_file,
                faults(_NEVER_LISTED),
                resume(3),
                unhalt,
                resume(3),
                faults({"kind": "lost_reply", "method": "DELETE"}, {"kind": "reset", "method": "DELETE"}),
                Run(("flatten", "--yes")),
            ),
        ),
        Scenario(
            "replace",
            "a stop that is moved; another order under our id, which a person settles; a position closed by hand",
            (
                session("AAPL,MSFT", 9, *WIDE, killed_at="submit.before:1"),
                place_another,
                resume(),
                Run(("orders", "move-stop", "MSFT", "30"), codes=(0, 2)),
                close_msft,
                resume(3),
                Run(resolve, codes=(0, 2)),
                resume(2),
            ),
            foreign=("AAPL",),
        ),
        Scenario(
            "import",
            "an older schema, which is copied and upgraded; a checkpoint that does not verify",
            (
                session("AAPL,MSFT", 4, "--strategy", REMEMBERING, *WIDE, killed_at="reply.after_commit:1"),
                Run(("db", "downgrade", "--to", "0001", "--yes")),
                spoil_a_checkpoint,
                resume(),
            ),
        ),
        Scenario(
            "condor",
            "four contracts entered in one order whose answer is lost, and left in one by their rule",
            (
                faults({"kind": "lost_reply", "method": "POST", "path": "/v2/orders"}),
                session("MSFT", 4, *CONDORS),
            ),
        ),
        Scenario(
            "covered",
            "shares, and a call on them, killed between the two; both are closed by a command",
            (
                session(
                    "AAPL",
                    3,
                    "--strategy",
                    "covered_call",
                    "--capital-per-trade",
                    "10000",
                    killed_at="leg.inside_commit:1",
                ),
                resume(),
                Run(("flatten", "--yes")),
            ),
        ),
        Scenario(
            "expiry",
            "contracts that are assigned and expire while it is dead; the shares are closed at the next open",
            (session("AAPL", 3, *EXPIRING, killed_at="checkpoint.after:4"), over_a_weekend, resume(2)),
            exchange=("--at", "2008-10-09T09:34"),
        ),
        Scenario(
            "uneven",
            "a leg of a condor that is closed by hand while it was dead; the rest is closed leg by leg",
            (session("AAPL", 2, "--strategy", "iron_condor"), close_a_short_leg, resume(3)),
        ),
    )
}
