"""The broker, real or embedded, through alpaca-py. The only room that imports it; what is odd about it
(no timeouts, repeated POSTs, proxies, JSON errors) stays in here."""
