"""The command line. Each command is a module of ``tallystick.cli.commands`` named like it, with its ``command``."""
