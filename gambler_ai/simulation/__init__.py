"""Whole trading days in virtual time: one seed is one execution, with its faults, crashes and people.

The engine, the executor, the ledger, the database, the recovery and the broker's client are the real ones; what is
swapped is time, the network, the disk's mood and `kill -9`.
"""
