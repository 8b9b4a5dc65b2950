"""`learners`, with the real program: what is shown is what is stored, and a reset outlives a kill."""

import json
from typing import Any

from tests.recovery.harness import Ended, World

WATCHING = ("--learners", "attention")


def shown(world: World) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(world.run("learners", "show", "attention", "--json").ok().out)
    return document


def reset(world: World, *more: str, name: str = "attention") -> Ended:
    return world.run("learners", "reset", name, *more)


def test_a_reset_of_a_stopped_session_is_taken_by_the_resume_and_outlives_a_kill_right_after(world: World):
    world.trade(*WATCHING, duration=28).ok()
    assert (shown(world)["learned"], shown(world)["standing"]) == (1, "watching")
    assert "written down" in reset(world, "--reason", "another market").ok().out
    before = shown(world)
    assert (before["learned"], before["reset_waits"]) == (1, True)
    world.resume("--duration", "1", crash_at="request.after_commit:1").was_killed()
    (fact,) = world.facts("LearnerReset")
    assert (fact["name"], fact["reason"].partition(" (")[0]) == ("attention", "another market")
    after = shown(world)
    assert (after["status"], after["learned"], after["reset_waits"]) == ("killed", 0, False)
    world.resume("--duration", "1").ok()
    assert shown(world)["learned"] == 0
    assert len(world.facts("LearnerReset")) == 1


def test_what_is_wrong_is_one_line_and_changes_nothing(world: World):
    listed = world.run("learners", "list").ok().out
    assert "gambler-ai --symbols AAPL,MSFT --duration 60 --learners attention" in listed
    assert world.run("learners", "show", "attention").code == 5, "there is no session yet"
    world.trade(duration=28, crash_at="intent.after_commit:1").was_killed()
    for ended, says in (
        (reset(world), "a reset forgets what was learned"),
        (reset(world, "--reason", "x", name="nobody"), "there is no learner 'nobody'"),
        (reset(world, "--reason", "x"), "has no learner attention: it has none"),
        (world.run("learners", "show", "nobody"), "there is no learner 'nobody'"),
        (world.run("learners", "show", "attention", "--html", "/no/such/place.html"), "cannot be written"),
    ):
        assert ended.code == 2, ended
        assert says in ended.err, ended
        assert len(ended.err.splitlines()) == 2, ended
    assert not world.rows("SELECT * FROM requests")
    here = world.run("learners", "reset", "attention", "--reason", "x", GAMBLER_PROGRAM="scripts/run")
    assert "it gets one by: scripts/run --resume-session " in here.err
    page = world.folder / "a.html"
    assert world.run("learners", "show", "attention", "--html", str(page)).ok().out == f"Written: {page}\n"
    assert "<title>Learner attention</title>" in page.read_text("utf-8")
