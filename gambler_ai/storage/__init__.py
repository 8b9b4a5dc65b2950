"""State in SQL. The only room that knows SQLAlchemy: core types go in and come out, never rows.

Functions take ``db``, a connection inside a transaction that the shell opened; none commits.
"""
