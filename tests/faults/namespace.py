"""A session and its exchange in a network of their own, whose only link goes down and comes back."""

import functools
import shutil
import subprocess
import sys
from pathlib import Path

from tests.faults.worlds import SESSION, check, new_world

#: In front of a command: a network namespace, and a user who is root in it.
UNSHARED = ("unshare", "--map-root-user", "--net")
#: Wall seconds without a link: longer than a connection takes to fail, shorter than the program's patience.
DOWN_S = 8.0


@functools.cache
def missing() -> str:
    """Why there can be no network of our own here; "" when there can."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return "unshare or ip is not installed"
    done = subprocess.run([*UNSHARED, *link("up")], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return "" if done.returncode == 0 else "network namespaces are not allowed here"


def link(state: str) -> list[str]:
    return ["ip", "link", "set", "lo", state]


def main(folder: Path) -> None:
    """The session, with the link down for a while after its first order."""
    subprocess.run(link("up"), check=True)
    with new_world(folder) as world:
        run = world.start(*SESSION)
        run.wait_for("entry    AAPL")
        subprocess.run(link("down"), check=True)
        try:
            run.process.wait(DOWN_S)
        except subprocess.TimeoutExpired:
            subprocess.run(link("up"), check=True)
        run.end().ok()
        check(world)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
