"""The composition root: settings, wiring, embedded services, telemetry, command line."""
