"""Nothing of Ray is open to other machines unless somebody said so: refused, bound to loopback, and looked at."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from subprocess import PIPE
from typing import Any

import pytest
from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE

from thumbwheel.config.settings import Settings
from thumbwheel.errors import InvalidConfig
from thumbwheel.hosts.loopback import is_loopback
from thumbwheel.hosts.ray.cluster import demand_closed
from thumbwheel.hosts.ray.open_ports import open_ports
from thumbwheel.hosts.ray.workers import closed


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("my-host", False),
    ],
)
def test_what_counts_as_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"serve": {"host": "0.0.0.0"}}, "serve.host"),
        ({"serve": {"host": "10.1.2.3"}}, "serve.host"),
        ({"ray": {"address": "auto"}}, "ray.address"),
        ({"ray": {"address": "127.0.0.1:6379"}}, "ray.address"),
    ],
)
def test_what_would_be_open_to_others_is_refused_until_it_is_said_plainly(sections: Any, field: str) -> None:
    with pytest.raises(InvalidConfig, match=r"ray\.trusted_network=true") as refused:
        demand_closed(Settings.model_validate(sections))
    assert refused.value.field == field
    trusting = {**sections, "ray": {**sections.get("ray", {}), "trusted_network": True}}
    demand_closed(Settings.model_validate(trusting))


def test_as_it_comes_all_is_closed() -> None:
    demand_closed(Settings())


def test_of_haproxy_only_the_grpc_door_is_where_it_was_asked_for() -> None:
    binds = re.findall(r"^ *bind (\S+)", closed(HAPROXY_CONFIG_TEMPLATE, "10.1.2.3"), re.MULTILINE)
    hosts = [bind.partition(":")[0] for bind in binds if bind]
    assert sorted(hosts) == ["10.1.2.3", "127.0.0.1", "127.0.0.1", "127.0.0.1"]


def test_a_port_beyond_loopback_is_found_unless_it_is_allowed() -> None:
    with socket.create_server(("0.0.0.0", 0)) as everywhere, socket.create_server(("127.0.0.1", 0)) as here:
        port, own = everywhere.getsockname()[1], here.getsockname()[1]
        found = " ".join(open_ports())
        assert f":{port}" in found
        assert f":{own}" not in found
        assert f":{port}" not in " ".join(open_ports([port]))
        assert f":{port}" not in " ".join(open_ports(own=[port]))


def test_a_port_that_this_process_may_have_is_not_rays_to_have() -> None:
    """What was opened below it is Ray's, also under the number of a door of its own."""
    script = "import socket; s = socket.create_server(('0.0.0.0', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=PIPE, stdout=PIPE, text=True) as below:
        assert below.stdout is not None
        port = int(below.stdout.readline())
        found = [" ".join(one) for one in (open_ports(), open_ports(own=[port]), open_ports([port]))]
        below.communicate("\n")
    assert [f":{port}" in one for one in found] == [True, True, False]
