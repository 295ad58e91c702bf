"""The composition root: settings, wiring, embedded services, telemetry, command line."""

__version__ = "0.1.0"
