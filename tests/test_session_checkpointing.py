"""The four checks of the quick start, as its reader runs them: `python tests/test_session_checkpointing.py`.

The same functions are pytest's tests. Nothing here touches a network or a user's own sessions.
"""

import importlib.util
import os
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and importlib.util.find_spec("sqlalchemy") is None:
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        sys.exit("run scripts/run --version once: it installs what this needs into .venv")
    os.execv(python, [str(python), __file__])
sys.path.insert(0, str(ROOT))

from gambler_ai.trading.state_manager import StateManager  # noqa: E402 (what it needs may be in .venv)

PARAMETERS = {"stop_loss_pct": 2.0, "take_profit_pct": 4.0, "position_size": 10_000}


def database(folder):
    return f"sqlite:///{folder}/sessions.sqlite3"


def begun(folder):
    manager = StateManager(database(folder))
    manager.create_session(["AAPL", "MSFT", "GOOGL"], initial_capital=100_000, parameters=PARAMETERS)
    return manager


def test_checkpoint_creation(tmp_path):
    with begun(tmp_path) as manager:
        number = manager.create_checkpoint(
            account_info={"portfolio_value": 102_345.67, "cash": "71002.5"}, strategy_params=PARAMETERS
        )
        assert number == 1
        newest = manager.list_checkpoints()[0]
        assert (newest["number"], newest["portfolio_value"]) == (1, Decimal("102345.67"))
        assert manager.get_checkpoint_stats()["total_checkpoints"] == 1


def test_checkpoint_restoration(tmp_path):
    with begun(tmp_path) as manager:
        manager.create_checkpoint(account_info={"portfolio_value": 99_000})
        manager.create_checkpoint(account_info={"portfolio_value": 101_500.01, "buying_power": 5})
        restored = manager.restore_from_latest_checkpoint()
    assert restored["checkpoint_number"] == 2
    assert restored["portfolio_value"] == Decimal("101500.01")
    assert restored["account"]["cash"] == Decimal(100_000)
    assert restored["strategy_params"] == PARAMETERS
    assert restored["symbols"] == ["AAPL", "MSFT", "GOOGL"]


def test_checkpoint_cleanup(tmp_path):
    with begun(tmp_path) as manager:
        for _ in range(12):
            manager.create_checkpoint()
        assert manager.cleanup_old_checkpoints(keep_count=5) == 7
        assert [c["number"] for c in manager.list_checkpoints()] == [12, 11, 10, 9, 8]
        assert manager.cleanup_old_checkpoints(keep_count=2, older_than_hours=1) == 0
        assert manager.get_checkpoint_stats()["created_checkpoints"] == 12


def test_session_resume_with_checkpoint(tmp_path):
    with begun(tmp_path) as manager:
        session_id = manager.session_id
        manager.create_checkpoint(account_info={"portfolio_value": 98_000}, strategy_params={"stop_loss_pct": 3.5})
    with StateManager(database(tmp_path)) as again:
        assert again.session_id is None
        assert again.resume_session() == session_id
        restored = again.restore_from_latest_checkpoint()
        assert restored["portfolio_value"] == Decimal(98_000)
        assert restored["strategy_params"] == {"stop_loss_pct": 3.5}
        assert again.create_checkpoint() == 2


CHECKS = {
    "Checkpoint Creation": test_checkpoint_creation,
    "Checkpoint Restoration": test_checkpoint_restoration,
    "Checkpoint Cleanup": test_checkpoint_cleanup,
    "Session Resume with Checkpoint": test_session_resume_with_checkpoint,
}


def main():
    for number, (name, check) in enumerate(CHECKS.items(), 1):
        with tempfile.TemporaryDirectory() as folder:
            check(Path(folder))
        sys.stdout.write(f"TEST {number}: {name} - PASSED\n")
    sys.stdout.write("\nALL TESTS PASSED\n")


if __name__ == "__main__":
    main()
