"""What every command shares: configuration, the way to the running service, and how to print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar

import click

if TYPE_CHECKING:
    from thumbwheel.client import AdminClient, Client, Tls
    from thumbwheel.config.load import Loaded
    from thumbwheel.config.settings import Settings


def _refuse_no_number(kind: click.FloatRange | click.IntRange, value: Any) -> None:
    """Refuse what is no number by the range, as what is out of it: click's own words name only the type."""
    whole = isinstance(kind, click.IntRange)
    try:
        int(value) if whole else float(value)
    except ValueError:
        low = f"{'above' if kind.min_open else 'from'} {kind.min:,}"
        kind.fail(f"{value!r} is no {'whole ' * whole}number; give one {low} to {kind.max:,}")


class FloatRange(click.FloatRange):
    """A number between two."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises click.BadParameter, which says what range it must be of."""
        _refuse_no_number(self, value)
        return super().convert(value, param, ctx)


class IntRange(click.IntRange):
    """A whole number between two."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises click.BadParameter, which says what range it must be of."""
        _refuse_no_number(self, value)
        return super().convert(value, param, ctx)


SEED: Final = IntRange(0, 2**32 - 1)  # what every generator of random numbers takes
COUNT: Final = IntRange(1, 1_000_000_000)


class Way(TypedDict):
    """What calls bring along, as clients take it."""

    tls: Tls | None
    api_key: str


F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Context:
    """Made once from the global options; everything dear is made on first use."""

    config_file: Path | None = None
    flags: dict[str, str] = field(default_factory=dict)
    address: str = ""
    admin_address: str = ""
    json: bool = False

    @cached_property
    def loaded(self) -> Loaded:
        """The configuration with the origin of each value."""
        from thumbwheel.config.load import load_settings

        return load_settings(self.config_file, self.flags)

    @property
    def settings(self) -> Settings:
        """The configuration."""
        return self.loaded.settings

    @property
    def grpc_address(self) -> str:
        """Where the running service answers clients."""
        return self.address or self._announced("grpc", self.settings.serve.host, self.settings.serve.port)

    def way(self, address: str) -> Way:
        """Return what calls to `address` bring along. Raises InvalidConfig when a file can't be used."""
        from thumbwheel.app.trust import calls_tls, own_key

        return {"tls": calls_tls(self.settings, address), "api_key": own_key(self.settings)}

    def client(self) -> Client:
        """Return a client of the running service."""
        from thumbwheel.client import Client

        return Client(self.grpc_address, **self.way(self.grpc_address))

    def admin(self) -> AdminClient:
        """Return a client of the running service's admin port.

        Raises click.UsageError when only the public door of another service was named: the command would go to this
        machine's, which may be another one.
        """
        from thumbwheel.client import AdminClient

        if self.address and not self.admin_address:
            raise click.UsageError("this command goes to the operators' door: with --address, say --admin-address, too")
        serve = self.settings.serve
        address = self.admin_address or self._announced("admin", serve.admin_host, serve.admin_port)
        return AdminClient(address, **self.way(address))

    def _announced(self, door: str, host: str, port: int) -> str:
        """Return where the home's service answers.

        Raises Unreachable when it doesn't run, and the home was chosen; Unavailable while it has not told yet where.
        Another home's service may answer at the usual ports, and would be the wrong one to ask, or to erase from.
        """
        from thumbwheel.app.home import announced, is_held
        from thumbwheel.config.load import DEFAULT
        from thumbwheel.errors import Unavailable, Unreachable

        home = self.settings.home
        addresses = announced(home)
        if addresses:
            return str(getattr(addresses, door))
        if is_held(home):
            raise Unavailable(f"the service on the home {home} is still starting; try again in a moment", 2.0)
        if self.loaded.origins["home"] != DEFAULT:
            raise Unreachable(f"no service runs on the home {home}", retry_after_s=1.0)
        return f"{host}:{port}"


pass_context = click.make_pass_decorator(Context, ensure=True)


def json_option(command: F) -> F:
    """Give a command `--json`."""

    def store(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.ensure_object(Context).json |= value

    return click.option(
        "--json", is_flag=True, expose_value=False, callback=store, help="Print JSON for scripts instead of a table."
    )(command)
