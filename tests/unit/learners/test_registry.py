"""Which learners there are, and which rules for them are refused."""

from __future__ import annotations

import pytest

from gambler_ai import learners
from gambler_ai.core.learning import Confidence, LearningRules
from gambler_ai.errors import ConfigError
from tests.unit.fakes import D

HALF = D("0.5")


@pytest.mark.parametrize(
    "rules",
    [
        LearningRules(("attention",)),
        LearningRules(("attention",), (), HALF),
        LearningRules(("attention",), ("attention",), HALF, Confidence.SCALE),
    ],
)
def test_rules_that_work_together_pass(rules):
    learners.check(rules, "momentum")


def test_the_chooser_is_insisted_on_where_it_trades_without_any_confidence():
    learners.check(LearningRules((), ("chooser",)), "chooser")
    learners.check(LearningRules(("attention",), ("chooser",)), "chooser")


@pytest.mark.parametrize(
    ("rules", "strategy", "says", "hint"),
    [
        (LearningRules(("oracle",)), "momentum", "no learner 'oracle'", "there are: .*attention"),
        (LearningRules(("attention", "")), "momentum", "no learner ''", "there are"),
        (LearningRules(("attention",), ("signal",), HALF), "momentum", "--use-learner signal: it does not learn here",
         "--learners signal"),
        (LearningRules((), ("chooser",)), "momentum", "--use-learner chooser: nothing is chosen", "--strategy chooser"),
        (LearningRules((), (), HALF), "momentum", "--min-confidence: there is nobody to ask", "--learners .*attention"),
        (LearningRules(("attention",), ("attention",)), "momentum", "nothing says how sure", "--min-confidence 0.5"),
        (LearningRules(("attention",), ("chooser", "attention")), "chooser",
         "--use-learner attention: nothing says how sure", "--min-confidence 0.5"),
    ],
    ids=range(7),
)  # fmt: skip
def test_rules_that_cannot_work_are_refused_with_what_to_do(rules, strategy, says, hint):
    with pytest.raises(ConfigError, match=says) as caught:
        learners.check(rules, strategy)
    assert caught.value.exit_code == 2
    with pytest.raises(AssertionError, match=hint):
        raise AssertionError(caught.value.hint)


def test_they_are_made_by_name_in_their_order_and_know_nothing():
    made = learners.make(["attention"])
    assert [(one.name, one.learned) for one in made] == [("attention", 0)]
    assert learners.make(()) == []


@pytest.mark.parametrize("name", learners.KNOWN)
def test_each_is_called_as_it_is_registered(name):
    assert learners._class(name).name == name
