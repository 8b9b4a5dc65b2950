"""Points where a test may kill the process: only when armed, only there, only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gambler_ai import crashpoints

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import sys
from gambler_ai import crashpoints
if sys.argv[1]:
    crashpoints.arm(sys.argv[1])
for n in range(1, 4):
    crashpoints.hit("submit.after")
    crashpoints.hit("submit.before")
    sys.stdout.write(str(n))
    sys.stdout.flush()
"""


@pytest.mark.parametrize(
    ("spec", "printed", "code"),
    [
        ("", "123", 0),
        ("submit.before", "", -signal.SIGKILL),
        ("submit.before:1", "", -signal.SIGKILL),
        ("submit.before:3", "12", -signal.SIGKILL),
        ("submit.before:4", "123", 0),
        ("prune.inside", "123", 0),
    ],
)
def test_it_dies_at_the_point_and_count_it_was_armed_for(spec, printed, code):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, spec], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.returncode) == (printed, code), done.stderr


def test_it_stands_still_there_until_it_is_sent_on():
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "submit.before:2:freeze"], cwd=ROOT, stdout=subprocess.PIPE
    ) as running:
        _, status = os.waitpid(running.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        running.send_signal(signal.SIGCONT)
        assert running.communicate(timeout=30)[0] == b"123"


NO_POINTS = ("", "nowhere", "freeze", "nowhere:0")
NO_COUNTS = ("0", "-1", "x", "1.5", "1:thaw", "", "\u0663")


@pytest.mark.parametrize("count", NO_COUNTS)
def test_a_count_that_is_none_is_told_as_one_and_not_as_a_point_that_is_not_there(count):
    with pytest.raises(ValueError, match="is not how often the point is passed"):
        crashpoints.arm(f"submit.before:{count}")


@pytest.mark.parametrize("spec", NO_POINTS)
def test_what_is_no_point_is_refused(spec):
    with pytest.raises(ValueError, match="no crash point"):
        crashpoints.arm(spec)


def test_unarmed_points_do_nothing():
    for name in crashpoints.POINTS:
        crashpoints.hit(name)
    crashpoints.hit("not even a point")


def test_what_happens_at_a_point_can_be_given_another_meaning():
    passed = []
    crashpoints.arm("submit.after:2", lambda: passed.append("here"))
    try:
        for _ in range(3):
            crashpoints.hit("submit.after")
        assert passed == ["here"]
        crashpoints.arm("submit.after", lambda: passed.append("again"))
        crashpoints.disarm()
        crashpoints.hit("submit.after")
        assert passed == ["here"]
    finally:
        crashpoints.disarm()
