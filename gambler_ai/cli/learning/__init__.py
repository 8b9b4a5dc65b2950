"""`learners show`: what a learner knows and is worth, for a terminal, a browser, a program."""
