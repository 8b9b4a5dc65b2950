"""Where orders are taken, kept and filled: one account, no I/O."""
