"""The composition root: settings in, a wired runner out. The only room that knows every other."""
