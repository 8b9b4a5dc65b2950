"""What the letters in trades and quotes mean: those that this market uses, and the venues that Alpaca lists."""

from __future__ import annotations

CONDITIONS = {
    "trade": {
        "@": "Regular Sale",
        "T": "Form T",
        "O": "Market Center Opening Trade",
        "Q": "Market Center Official Open",
        "6": "Market Center Closing Trade",
        "M": "Market Center Official Close",
    },
    "quote": {"R": "Regular Market Maker Open"},
}
EXCHANGES = {
    "A": "NYSE American (AMEX)",
    "B": "NASDAQ OMX BX",
    "C": "National Stock Exchange",
    "D": "FINRA ADF",
    "E": "Market Independent",
    "H": "MIAX",
    "I": "International Securities Exchange",
    "J": "Cboe EDGA",
    "K": "Cboe EDGX",
    "L": "Long Term Stock Exchange",
    "M": "Chicago Stock Exchange",
    "N": "New York Stock Exchange",
    "P": "NYSE Arca",
    "Q": "NASDAQ OMX",
    "S": "NASDAQ Small Cap",
    "T": "NASDAQ Int",
    "U": "Members Exchange",
    "V": "IEX",
    "W": "CBOE",
    "X": "NASDAQ OMX PSX",
    "Y": "Cboe BYX",
    "Z": "Cboe BZX",
}
