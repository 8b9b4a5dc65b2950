"""Scripted faults: what a broker does to a runner on a bad day, at will and the same each time (BEHAVIOUR 10).

``kinds`` is the table of what there is, ``plan`` a list of lines of it, ``schedule`` when a line acts, ``replies`` what
is answered instead, ``spoil`` what becomes of an answer. ``docs/FAULTS.md`` says how a plan is written.
"""

from gambler_ai.exchange.faults.plan import Fault as Fault
from gambler_ai.exchange.faults.plan import FaultPlan as FaultPlan
