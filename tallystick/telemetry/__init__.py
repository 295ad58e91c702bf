"""Traces, metrics and logs, put around ports: no core knows of them; where nothing is configured nothing is wrapped.

One request is followed by its ``traceparent``: it travels in the request to the ledger's writer, is kept beside the
events (table ``event_traces``, never hashed), and is picked up again by followers and workers.
"""
