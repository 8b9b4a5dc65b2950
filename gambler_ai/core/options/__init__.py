"""Structures of options: how they are reviewed, entered, watched, closed and booked. Pure, as all of the kernel."""
