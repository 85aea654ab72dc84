"""TLS of the doors, and of the calls that this process makes to doors."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from thumbwheel.config.paths import OptionalPath
from thumbwheel.config.sections.section import Section


class Tls(Section):
    """TLS of every door of this process, and how its own calls (command line, pages) reach doors.

    Files are PEM and may be replaced while it runs: who connects next meets the new ones.
    """

    certificate_file: OptionalPath = Field(
        None,
        description="Certificate that the doors show, its own first, then those between it and the authority; empty: "
        "no TLS. Every gRPC and HTTP door of the process has it, so it must be for all of their names.",
    )
    key_file: OptionalPath = Field(None, description="The certificate's key, without a passphrase, mode 600 or 640.")
    client_ca_file: OptionalPath = Field(
        None,
        description="Authorities of clients' certificates; with it a door takes nobody without such a one (mTLS). "
        "Authorities that were removed are believed no more by the next connection.",
    )
    client_doors: Literal["all", "grpc"] = Field(
        "all",
        description="Doors at which `client_ca_file` counts. `grpc`: pages, /healthz and /metrics take clients without "
        "a certificate, as browsers, load balancers and the probes of Kubernetes are; they are encrypted all the same.",
    )
    plain_beyond_loopback: bool = Field(
        False,
        description="`true`: doors may listen beyond loopback without TLS; you know that everybody on the way reads "
        "and changes what passes, and something else (a mesh, a proxy on this machine) encrypts it. Without it such a "
        "door is not opened.",
    )
    ca_file: OptionalPath = Field(
        None,
        description="Authorities by which this process's own calls know a door; empty: those that gRPC brings. Where "
        "it or `certificate_file` is set, calls go by TLS (`connect`).",
    )
    client_certificate_file: OptionalPath = Field(
        None, description="Certificate that this process's own calls show to a door that asks for one."
    )
    client_key_file: OptionalPath = Field(None, description="Its key.")
    server_name: str = Field(
        "",
        max_length=253,
        description="Name that a door's certificate must be for, where that is not the host of its address: "
        "`thumbwheel` on the service's own machine goes to 127.0.0.1.",
    )
    connect: Literal["auto", "tls", "plain"] = Field(
        "auto",
        description="How this process's own calls reach doors. `auto`: by TLS where `ca_file` or `certificate_file` is "
        "set.",
    )

    @model_validator(mode="after")
    def _in_pairs(self) -> Self:
        for one, other in (("certificate_file", "key_file"), ("client_certificate_file", "client_key_file")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{one} and {other} belong together; set both, or neither")
        if self.client_ca_file and not self.certificate_file:
            raise ValueError("client_ca_file needs certificate_file: clients show certificates where there is TLS only")
        return self

    @property
    def calls_by_tls(self) -> bool:
        """Whether this process's own calls are encrypted."""
        if self.connect != "auto":
            return self.connect == "tls"
        return self.ca_file is not None or self.certificate_file is not None
