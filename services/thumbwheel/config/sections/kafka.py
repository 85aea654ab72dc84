"""A Kafka cluster."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from thumbwheel.config.paths import OptionalPath
from thumbwheel.config.sections.section import Section
from thumbwheel.config.units import Bytes, Count, Days, Seconds


class Kafka(Section):
    """A Kafka cluster, where `log.kind` is `kafka`; `thumbwheel topics create` makes its topics."""

    bootstrap_servers: str = Field(
        "127.0.0.1:9092",
        min_length=1,
        description="Addresses to find the cluster by, `host:port`, joined by commas. This section counts where "
        "`log.kind` is `kafka`.",
    )
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,200}$",
        description="Written before the topics' names; empty: none. The store remembers by it how far "
        "it has read; topics made anew, here or on another cluster, are read from their start.",
    )
    partitions: Count = Field(
        8, ge=1, le=1_000, description="Partitions a topic is made with. Later changes scatter keys: choose enough."
    )
    replication: Count = Field(
        3,
        ge=1,
        le=16,
        description="Copies a topic is made with; all but one must be in step for an event to count as durable.",
    )
    retention_days: Days = Field(
        365,
        ge=0,
        le=36_500,
        description="Days for which topics are made to keep events; 0: for ever. So far back `thumbwheel replay` and "
        "`restore` can make a store anew.",
    )
    max_record_bytes: Bytes = Field(
        1 << 20, ge=1 << 16, le=64 << 20, description="Largest event; topics are made to take it, bytes."
    )
    key_removal_s: Seconds = Field(
        3_600.0,
        ge=1.0,
        le=86_400,
        description="Seconds after which, at most, the brokers begin to remove the keys of an erased user from their "
        "disks; the topic of keys is made with it.",
    )
    request_timeout_s: Seconds = Field(
        5.0, ge=1.0, le=300, description="Seconds to wait for a connection or an answer before the log counts as away."
    )
    ack_timeout_s: Seconds = Field(
        10.0, ge=2.0, le=600, description="Seconds to wait until all in-step copies have an event; more is a refusal."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to the brokers. Only `SSL` and `SASL_SSL` encrypt."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How to log in, with `SASL_PLAINTEXT` and `SASL_SSL`."
    )
    sasl_user: str = Field("", description="Name to log in with.")
    sasl_password_file: OptionalPath = Field(None, description="File that holds the password and nothing else.")
    ca_file: OptionalPath = Field(
        None, description="PEM file of the authority that signed the brokers' certificates; empty: the system's."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ack_timeout_s < self.request_timeout_s:
            raise ValueError(f"ack_timeout_s must be at least request_timeout_s, {self.request_timeout_s:g}")
        if self.security_protocol.startswith("SASL") and not (self.sasl_user and self.sasl_password_file):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_user and sasl_password_file")
        return self
