"""An embedded, Alpaca-compatible paper exchange: another world, which shares none of our beliefs.

How the composition root uses it (import from the modules named; this package imports nothing by itself)::

    from gambler_ai.exchange.exchange import Exchange
    from gambler_ai.exchange.rest.server import ExchangeServer, create_app
    from gambler_ai.exchange.rest.transport import ExchangeSession
    from gambler_ai.exchange.faults import FaultPlan
    from gambler_ai.exchange.defaults import DEFAULT_START, DEFAULT_SEED, DEFAULT_CASH

    exchange = Exchange.open(path,            # Path, or None for memory
                             start=None,      # aware; None = DEFAULT_START, or the file's last instant;
                                              # on a reopen: max(start, the file's last instant)
                             seed=DEFAULT_SEED, cash=DEFAULT_CASH,  # only read when the file is created
                             account="",      # a name: another name is another account, with other ids
                             speed=0.0,       # 0 = paced from outside; N = runs by itself, N times as fast
                             clock=None,      # your own ManualClock to share (speed 0 only)
                             pdt=False)       # the pattern-day-trader rule, which ended in June 2026
    exchange.key_id, exchange.secret_key      # for the APCA-* headers; kept in the file (0600)
    exchange.account_id, exchange.account_number, exchange.now(), exchange.speed
    exchange.advance(to)                      # process the market up to `to`; returns the instant reached
    exchange.market.label("AAPL")             # "real-daily" | "synthetic"; KeyError if unknown
    exchange.market.labels()                  # {symbol: label}
    exchange.market.last_day                  # date(2013, 3, 1): closed for good after it
    exchange.close()                          # persists the instant, frees the lock

    server = ExchangeServer(exchange, token=None, faults=None, port=0)   # 127.0.0.1 only
    server.start()                            # then server.url "http://127.0.0.1:PORT", server.token
    server.stop()                             # leaves the exchange open

    TradingClient(exchange.key_id, exchange.secret_key, paper=True, url_override=server.url)
    StockHistoricalDataClient(exchange.key_id, exchange.secret_key, url_override=server.url)

    ws = server.url.replace("http", "ws")                   # alpaca-py's streams take the whole URL
    TradingStream(exchange.key_id, exchange.secret_key, paper=True, url_override=ws + "/stream")
    StockDataStream(exchange.key_id, exchange.secret_key, url_override=ws + "/v2/iex")   # or /v2/sip

    # the same app without a socket (simulation, unit tests): a requests.Session whose every request ends here
    session = ExchangeSession(create_app(exchange, token="t", faults=FaultPlan()), timeout=10.0)
    client._session = session                 # with url_override=session.url ("http://exchange.invalid")

Streams. ``/stream`` (``trade_updates``): one message an event of an order, in the order in which they happened,
after the commit that holds them, so no crash takes back what was told; nothing is told twice or later, so
whoever was away reconciles by REST. An execution's ``execution_id`` is the end of its activity's id.
``/v2/iex`` and ``/v2/sip``: one connection an account for both; ``b`` for every minute that closed, ``t``, ``q``
and ``d`` the last of each step. A step is a request, an ``advance``, or, while somebody listens to a market
that runs by itself, a look four times a second; a paced market says nothing between steps. A reader that is
too slow is disconnected (``StreamLimits`` in ``streams``).

A plan of faults is a list of rows, {"kind", "times": 1 | N | "always", ...}: ``faults.kinds`` is the table of
kinds, docs/FAULTS.md the manual. In process nothing waits: what a client would have to wait for is decided by
its timeout. A ``stream_cut`` or ``stream_mute`` without pieces needs no message: it acts at once on the first
connection that listens. Splits, resets and hands (``deeds``) are in the file, and are not done twice.

A second opener of the same file gets ``ExchangeInUse`` (a SessionLeased, exit code 4).

Control, on the same port: ``GET /_exchange/clock`` (no token) -> ``{"now", "speed", "symbols", "last_day",
"closed_for_good", "account_id"}``; with the header ``X-Exchange-Token``:
``POST /_exchange/advance {"to": RFC3339}`` -> ``{"now"}``,
``POST /_exchange/faults [{...}]``, ``GET /_exchange/faults`` (how often each line has acted),
``GET /_exchange/log`` (each POST of an order, durable), ``GET /_exchange/deeds`` (what happened to the account),
``GET /_exchange/requests`` (the last 1,000 requests with ``monotonic_s``, this machine's clock, when they arrived).
"""
