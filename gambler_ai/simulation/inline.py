"""The one who talks to the broker, without a thread of its own."""

from __future__ import annotations

from gambler_ai.trading.executor import Executor


class InlineExecutor(Executor):
    """The same without a thread: what was asked for is done when `work` is called, on the caller's thread.

    For a simulation, where the order of things is a function of a seed and a crash happens at one exact place.
    """

    def start(self) -> None:
        """Nothing to start."""

    @property
    def waiting(self) -> bool:
        """Whether something was asked for and is not begun."""
        return not self._todo.empty()

    def work(self) -> None:
        """Carry out the oldest request and put what came of it into the feed."""
        request = self._todo.get_nowait()
        if request is None or self._stopped:
            return
        try:
            self._feed.put(self._run[type(request)](request))
        except Exception as error:  # as on the worker; what is no Exception is the end of this process
            self._feed.put(error)
