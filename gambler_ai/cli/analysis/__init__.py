"""`sessions report`: figures, curve and round trips, for a terminal, a browser, a spreadsheet, a program."""
