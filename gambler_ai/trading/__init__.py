"""The shell: the order of effects lives here and nowhere else. First the commit, then the act."""
