"""Pictures for the documents: a session in a terminal of 80x24, as a person sees it.

The terminal is tmux: the program runs in it, tmux says what each cell shows, and rich draws those cells as SVG.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from gambler_ai.clock import SystemClock

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs/images"
WIDTH, HEIGHT = 80, 24
#: Wall seconds until a screen that does not come is a failure.
PATIENCE_S = 120.0
LOOK_EVERY_S = 0.2
#: The sessions: ordinary ones on the embedded exchange.
RUN = "gambler-ai --symbols AAPL,MSFT,IBM,GOOGL --duration 60 --speed 120"
OPTIONS = "gambler-ai --universe options --underlyings AAPL,MSFT --strategy iron_condor --duration 60 --speed 120"
#: Name of a picture -> the session it is of, and what is on the screen then, in the order that they come.
PICTURES = {
    "live": (RUN, r"AAPL .*PROTECTED.*MSFT .*PROTECTED.*last decisions.*MSFT"),
    "report": (RUN, r"Closed trades.*Open positions"),
    "options": (OPTIONS, r"AAPL .*GUARDED.*MSFT .*GUARDED.*Greeks.*last decisions"),
}
#: No font is fetched from anywhere: whatever the reader's machine has.
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", FONT
)


class Tmux:
    """A server of our own with one window."""

    def __init__(self, home: Path, run: str) -> None:
        self._socket = str(home / "tmux")
        command = (
            f"env GAMBLER_HOME={home}/gambler_ai PATH={Path(sys.executable).parent}:$PATH"
            f" sh -c 'clear; {run}; exec sleep {PATIENCE_S:.0f}'"
        )
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        self._call("-f", "/dev/null", "new-session", "-d", *size, "-c", str(home), command)

    def _call(self, *args: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *args], check=True, capture_output=True, text=True)
        return done.stdout

    def wait_for(self, pattern: str) -> str:
        """The screen, with its colours, as soon as ``pattern`` is on it."""
        clock = SystemClock()
        deadline_s = clock.monotonic() + PATIENCE_S
        while clock.monotonic() < deadline_s:
            if re.search(pattern, self._call("capture-pane", "-p"), re.DOTALL):
                return self._call("capture-pane", "-p", "-e")
            clock.sleep(LOOK_EVERY_S)
        sys.exit(f"no screen with {pattern!r} came")

    def stop(self) -> None:
        self._call("kill-server")


def svg_of(screen: str, title: str) -> str:
    """Cells with their colours as a picture."""
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(Text.from_ansi(screen.rstrip("\n")), no_wrap=True, overflow="crop", crop=True)
    svg = console.export_svg(title=title, code_format=FORMAT, unique_id=title.replace(" ", "-"))
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    if shutil.which("tmux") is None:
        sys.exit("scripts/capture needs tmux")
    IMAGES.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:] or list(PICTURES)
    if unknown := set(wanted) - set(PICTURES):
        sys.exit(f"no picture {', '.join(sorted(unknown))}; there are: {', '.join(PICTURES)}")
    for run in dict.fromkeys(PICTURES[name][0] for name in wanted):
        for name, screen in screens_of(run, [name for name in wanted if PICTURES[name][0] == run]).items():
            path = IMAGES / f"{name}.svg"
            path.write_text(svg_of(screen, f"gambler-ai {name}"))
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def screens_of(run: str, names: list[str]) -> dict[str, str]:
    """The screens of one session, by the name of their pictures."""
    with tempfile.TemporaryDirectory(prefix="capture-") as folder:
        tmux = Tmux(Path(folder), run)
        try:
            return {name: tmux.wait_for(PICTURES[name][1]) for name in names}
        finally:
            tmux.stop()


if __name__ == "__main__":
    main()
