"""The group of all commands, found by looking into ``tallystick.cli.commands``; modules are loaded when needed."""

from __future__ import annotations

import importlib
import pkgutil

import click

from tallystick import __version__
from tallystick.cli import commands


class CommandsInModules(click.Group):
    """Finds its commands as modules, so that adding one touches no list."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        del ctx
        names = (module.name for module in pkgutil.iter_modules(commands.__path__))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command's click object; None when there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        found = module.command
        assert isinstance(found, click.Command), f"{module.__name__}.command is a click command"
        return found


@click.group(cls=CommandsInModules, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def tallystick() -> None:
    """Credits that can be proven by both sides: a ledger, the rails that fill it, the jobs that spend it."""
