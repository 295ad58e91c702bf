"""The rules of the ledger once more, without events: plain numbers, written from the specification.

Shares no code with the ledger's own rules, only their vocabulary: commands, names of events and of refusals, limits.
"""
