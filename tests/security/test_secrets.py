"""No piece of a secret is in any byte that the program leaves, whatever goes wrong (protocol 4.1)."""

import sys
from pathlib import Path

import pytest

from tests.databases import BACKENDS
from tests.recovery.harness import PROGRAM, Running
from tests.security import mirror as moods
from tests.security.conftest import Marked
from tests.security.mirror import KEY, SECRET, TOKEN
from tests.security.scan import finds, needles

#: Each way in which it could leak runs with each commit; the same on a server, and in other spellings, at night.
NIGHTLY = pytest.mark.nightly
EVERYWHERE = [BACKENDS[0], *(pytest.param(name, marks=NIGHTLY) for name in BACKENDS[1:])]

LEAKY = '''
import logging, os
from gambler_ai.strategies import Strategy

class Leaky(Strategy):
    """Says all it can find."""

    def propose(self, view):
        secret = os.environ.get("ALPACA_API_SECRET", "")
        local = {"key": secret}
        logging.getLogger("leaky").error("it is %s", secret)
        raise RuntimeError(f"nothing but {secret} and {local}")
'''

NOISY = '''
import logging, os
from gambler_ai.strategies import Strategy

loud = logging.FileHandler(os.path.join(os.environ["HOME"], "debug.log"))
logging.getLogger().addHandler(loud)
logging.getLogger().setLevel(logging.DEBUG)

class Noisy(Strategy):
    """Every logger of every library at its loudest."""

    def propose(self, view):
        return []
'''


def test_the_scan_finds_what_it_looks_for(marked: Marked):
    """A scan that finds nothing anywhere would prove nothing."""
    for form in moods.spellings(SECRET) + moods.spellings(TOKEN):
        assert finds(f"x{form}y".encode(), needles()), form
    (marked.folder / "left").write_text(f"half of it: {SECRET[5:20]}")
    with pytest.raises(AssertionError, match="left"):
        marked.check()


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_a_session_and_all_that_shows_it(marked: Marked):
    marked.trades("--json").ok()
    for command in (
        ["sessions", "list"], ["sessions", "show", marked.session_id(), "--json"], ["orders", "list", "--all"],
        ["config", "show"], ["config", "show", "--json"], ["doctor"], ["doctor", "--json"], ["reconcile"], ["--help"],
    ):  # fmt: skip
        marked.run(*command)
    assert any("PKMA" in ended.out for ended in marked.outputs), "config show names the key it hides"
    marked.check()


@pytest.mark.parametrize(
    "mood",
    [moods.error, *(pytest.param(mood, marks=NIGHTLY) for mood in (moods.page, moods.unknown_keys, moods.garbage))],
    ids=lambda m: m.__name__,
)
def test_a_broker_that_echoes_what_it_was_sent(marked: Marked, mood):
    """From the first request; then in the middle of a session, which goes on with a resume."""
    marked.mirror.mood = mood
    assert marked.trades("--json").code == 3
    marked.run("doctor")
    marked.mirror.mood, marked.mirror.from_order = moods.well, mood
    marked.trades("--new")
    marked.run("reconcile")
    marked.mirror.mood, marked.mirror.from_order = moods.well, None
    marked.trades("--resume").ok()
    marked.check()


@pytest.mark.parametrize("mood", [moods.refusal, moods.named], ids=lambda m: m.__name__)
@pytest.mark.parametrize("backend", EVERYWHERE)
def test_what_a_broker_says_is_stored_without_them(marked: Marked, mood):
    marked.mirror.mood = mood
    marked.trades("--json").ok()
    marked.run("sessions", "show", marked.session_id())
    marked.run("orders", "list", "--all")
    facts = str(marked.facts())
    assert "***" in facts, "the text was stored, and the secret in it was not"
    marked.check()


def test_a_strategy_that_raises_with_the_secret_in_its_hands(marked: Marked):
    (marked.folder / "leaky.py").write_text(LEAKY)
    marked.trades("--strategy", "leaky.py:Leaky", "--json").ok()
    assert "nothing but ***" in str(marked.facts())
    assert "it is ***" in (marked.folder / "session.log").read_text()
    marked.check()


def test_every_library_at_its_loudest(marked: Marked):
    """urllib3 logs requests, websockets whole frames; the first frame of a stream is the keys."""
    (marked.folder / "noisy.py").write_text(NOISY)
    with moods.parrot() as url:
        env = {"ALPACA_TRADING_STREAM_URL": url, "ALPACA_DATA_STREAM_URL": url}
        marked.trades("--strategy", "noisy.py:Noisy", "--streams", "on", **env)
    log = (marked.folder / "debug.log").read_text()
    assert "GET /v2/positions" in log
    assert "authenticate" not in log, "a frame is cut in the middle, and with it the secret"
    marked.check()


@pytest.mark.parametrize(
    "at", ["intent.after_commit:1", "submit.after:1", "checkpoint.inside:1", "fill.before_commit:1"]
)
def test_a_kill_leaves_none_behind(marked: Marked, at: str):
    marked.trades(crash_at=at).was_killed()
    marked.check()


def test_an_error_of_ours_and_its_traceback(marked: Marked):
    marked.trades(crash_at="intent.after_commit:1").was_killed()
    marked.write("UPDATE sessions SET updated_at = ?", "no time")
    assert marked.trades("--resume").code == 1
    assert "Traceback" in (marked.home / "crash.log").read_text()
    marked.check()


def test_a_traceback_whose_message_is_the_secret(marked: Marked):
    """The database says what it holds; what was spoiled there by hand is in the message of the error."""
    marked.trades().ok()
    marked.write("UPDATE sessions SET updated_at = ?", SECRET)
    assert marked.run("sessions", "list").code == 1
    log = (marked.home / "crash.log").read_text()
    assert "***" in log
    assert not finds(log.encode(), needles())
    assert not finds(marked.outputs[-1].err.encode(), needles())


def test_a_migration_that_fails(marked: Marked):
    marked.trades().ok()
    marked.write("UPDATE alembic_version SET version_num = 'from elsewhere'")
    assert marked.run("db", "upgrade").code == 5
    assert marked.trades("--resume").code == 5
    marked.check()


def test_the_password_of_a_database(marked: Marked):
    for url in (f"postgresql://me:{KEY}pass@127.0.0.1:1/x", f"postgresql://me@127.0.0.1:1/x?password={KEY}pass"):
        for command in (["sessions", "list"], ["config", "show"], ["doctor"], []):
            ended = marked.run(*command, GAMBLER_DATABASE_URL=url)
            assert f"{KEY}pass" not in ended.out + ended.err


def test_neither_command_line_nor_environment_of_the_process_holds_what_is_in_the_secrets_file(marked: Marked):
    """Read from outside, as any process of the user's can, while the program talks to its broker."""
    marked.home.mkdir(mode=0o700)
    secrets = marked.home / "secrets.toml"
    secrets.write_text(f"alpaca_api_key = '{KEY}'\nalpaca_api_secret = '''{SECRET}'''\n", "utf-8")
    secrets.chmod(0o600)
    env = {n: v for n, v in marked.env().items() if n not in ("ALPACA_API_KEY", "ALPACA_API_SECRET")}
    found: list[bytes] = []
    pids: list[int] = []

    def look() -> None:
        for pid in [*pids, *_children(pids)]:
            found.extend(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))

    running = Running([*PROGRAM, "--speed", "0", "--duration", "5", "--symbols", "AAPL"], env, marked.folder)
    pids.append(running.pid)
    marked.mirror.on_request = look
    running.end().ok()
    wanted = needles([SECRET])
    assert found
    assert any(sys.executable.encode() in text for text in found), "it was the program that was looked at"
    assert not any(finds(text, wanted) for text in found)
    assert {h.get("APCA-API-SECRET-KEY") for h in marked.mirror.seen} == {None, SECRET}
    secrets.unlink()
    marked.check()


def _children(pids: list[int]) -> list[int]:
    text = "".join(Path(f"/proc/{pid}/task/{pid}/children").read_text() for pid in pids)
    return [int(word) for word in text.split()]


def test_there_is_no_option_for_a_secret(marked: Marked):
    """An argument can be read by every user of the machine."""
    for option in ("--api-secret", "--api-key", "--secret", "--token"):
        assert marked.run(option, SECRET).code == 2
    ended = marked.run("run", "--help").ok()
    assert not [line for line in ended.out.splitlines() if "--" in line and "secret" in line.lower()]
    for ended in marked.outputs:
        assert not finds((ended.out + ended.err).encode(), needles())
