"""Every setting, each with a unit, a range and a sentence. Values come from a file, the environment and flags.

Names of environment variables: `THUMBWHEEL_` + the path in capitals joined by two underscores, for example
`THUMBWHEEL_CLASSIFY__PROBABILITY_FLOOR=0.05`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from thumbwheel.errors import InvalidConfig


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts; shown by `thumbwheel config show`."""

    name: str


def expanded(path: Path) -> Path:
    """Return a path with `~` replaced. Raises ValueError for the home of a user who is unknown here."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} begins with a user who is unknown here; write the folder out") from error


def _local(path: Path) -> Path:
    return expanded(path).absolute()


Port = Annotated[int, Unit("port"), Field(ge=0, le=65535)]
Fraction = Annotated[float, Unit("fraction"), Field(ge=0.0, le=1.0)]
Ratio = Annotated[float, Unit("ratio")]
Seconds = Annotated[float, Unit("seconds")]
Milliseconds = Annotated[float, Unit("milliseconds")]
Bytes = Annotated[int, Unit("bytes")]
Characters = Annotated[int, Unit("characters")]
Tokens = Annotated[int, Unit("tokens")]
Votes = Annotated[int, Unit("votes")]
Nats = Annotated[float, Unit("nats")]
Count = Annotated[int, Unit("count")]
LocalPath = Annotated[Path, AfterValidator(_local)]

_PASSWORDS = {"password", "sslpassword"}  # where a database URL may hold one, besides before the host


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class Serve(_Section):
    """Addresses and limits of the service's doors."""

    host: str = Field("127.0.0.1", description="Address to listen on. Loopback unless you say otherwise.")
    port: Port = Field(7070, description="gRPC port for clients; 0 takes a free one.")
    admin_port: Port = Field(7071, description="gRPC port for operators; 0 takes a free one.")
    web_port: Port = Field(7072, description="HTTP port of the pages, /metrics and /healthz; 0 takes a free one.")
    web_hosts: str = Field(
        "127.0.0.1,localhost,[::1]",
        description="Host names the pages answer to, joined by commas; `*` for any. Stops other sites' scripts.",
    )
    max_message_bytes: Bytes = Field(
        4 << 20, ge=1 << 16, le=64 << 20, description="Largest gRPC message taken, in bytes."
    )
    drain_s: Seconds = Field(
        20.0, ge=0, le=600, description="Seconds given to requests in flight after SIGTERM before they are cut off."
    )
    reconcile_s: Seconds = Field(
        1.0, gt=0, le=60, description="Seconds between looks at the registry for a moved channel."
    )
    torch_threads: Count = Field(
        0, ge=0, le=256, description="Threads for torch; 0: cores available minus one, at least one."
    )


class Generate(_Section):
    """Serving of `generate` policies."""

    max_input_chars: Characters = Field(
        16_000, ge=1, le=1_000_000, description="Longest prompt or conversation, characters."
    )
    default_new_tokens: Tokens = Field(64, ge=1, le=4096, description="New tokens when a request does not say.")
    max_new_tokens: Tokens = Field(256, ge=1, le=4096, description="Most new tokens a request may ask for.")
    max_candidates: Count = Field(8, ge=1, le=8, description="Most candidates (n) a request may ask for.")
    concurrent: Count = Field(32, ge=1, le=1024, description="Sequences decoded at the same time.")
    queue_limit: Count = Field(
        128, ge=1, le=100_000, description="Sequences in decoding and waiting; more are refused with a retry hint."
    )
    kv_blocks: Count = Field(256, ge=16, le=1_000_000, description="Blocks of the key-value cache.")
    stream_interval_ms: Milliseconds = Field(
        50.0,
        ge=0,
        le=1_000,
        description="Least milliseconds between two pieces of a stream, save the first and the last; 0: every token. "
        "In proportion longer when more than 8 answers are computed.",
    )

    @model_validator(mode="after")
    def _default_within_limit(self) -> Self:
        if self.default_new_tokens > self.max_new_tokens:
            raise ValueError(f"default_new_tokens must be at most max_new_tokens, {self.max_new_tokens}")
        return self


class Classify(_Section):
    """Serving of `classify` policies."""

    max_input_chars: Characters = Field(8_000, ge=1, le=1_000_000, description="Longest text, characters.")
    probability_floor: Ratio = Field(
        0.02,
        ge=0.0,
        le=0.5,
        description="Share of probability spread evenly over all labels, so that every label can be learned about.",
    )
    mode: Literal["sample", "argmax"] = Field(
        "sample", description="`argmax` serves the likeliest label; its votes teach nothing, since nothing was sampled."
    )
    max_batch: Count = Field(32, ge=1, le=1024, description="Texts computed together at most.")
    max_wait_ms: Milliseconds = Field(1.0, ge=0, le=100, description="Milliseconds a text waits for others to join it.")
    queue_limit: Count = Field(512, ge=1, le=100_000, description="Texts waiting; more are refused with a retry hint.")


class Log(_Section):
    """The embedded event log."""

    max_bytes: Bytes = Field(
        2 << 30, ge=1 << 20, description="Size at which the log refuses feedback and requests go unlogged, bytes."
    )
    max_batch: Count = Field(512, ge=1, le=10_000, description="Records written by one fsync at most.")


class Kafka(_Section):
    """A Kafka cluster. Only `thumbwheel topics` reads this, to make its topics; `up` does not ship to Kafka yet."""

    bootstrap_servers: str = Field(
        "127.0.0.1:9092",
        min_length=1,
        description="Addresses to find the cluster by, `host:port`, joined by commas. Only `thumbwheel topics` reads "
        "this section; `up` does not ship to Kafka yet.",
    )
    topic_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]{0,200}$", description="Written before the topics' names; empty: none."
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
    max_record_bytes: Bytes = Field(
        1 << 20, ge=1 << 16, le=64 << 20, description="Largest event; topics are made to take it, bytes."
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
    sasl_password_file: LocalPath | None = Field(None, description="File that holds the password and nothing else.")
    ca_file: LocalPath | None = Field(
        None, description="PEM file of the authority that signed the brokers' certificates; empty: the system's."
    )

    @field_validator("sasl_password_file", "ca_file", mode="before")
    @classmethod
    def _empty_is_none(cls, path: object) -> object:
        return None if path == "" else path

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ack_timeout_s < self.request_timeout_s:
            raise ValueError(f"ack_timeout_s must be at least request_timeout_s, {self.request_timeout_s:g}")
        if self.security_protocol.startswith("SASL") and not (self.sasl_user and self.sasl_password_file):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_user and sasl_password_file")
        return self


class Database(_Section):
    """The database of the store and the registry."""

    url: str = Field(
        "",
        description="PostgreSQL database, `postgresql+psycopg://USER@HOST:PORT/DATABASE`, without its password; "
        "empty: an SQLite file in the home.",
    )
    password_file: LocalPath | None = Field(None, description="File that holds the password and nothing else.")

    @field_validator("password_file", mode="before")
    @classmethod
    def _empty_is_none(cls, path: object) -> object:
        return None if path == "" else path

    @field_validator("url")
    @classmethod
    def _of_postgresql(cls, url: str) -> str:
        if not url:
            return url
        if not url.startswith("postgresql+psycopg://"):
            raise ValueError("must begin with postgresql+psycopg://, or be empty for SQLite in the home")
        parts = urlsplit(url)
        if parts.password is not None or _PASSWORDS & parse_qs(parts.query).keys():
            raise ValueError("must be without a password; write that into a file and name it in database.password_file")
        return url

    @model_validator(mode="after")
    def _password_of_somebody(self) -> Self:
        if self.password_file and not urlsplit(self.url).username:
            raise ValueError("password_file needs a user in database.url: postgresql+psycopg://USER@HOST:PORT/DATABASE")
        return self

    def with_password(self) -> str:
        """Return the URL with the password of the file: a secret. Raises InvalidConfig when it can not be read."""
        if self.password_file is None:
            return self.url
        try:
            password = self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            problem = f"{self.password_file} can not be read; mend its path or its rights"
            raise InvalidConfig("database.password_file", problem) from error
        parts = urlsplit(self.url)
        user, _, place = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}").geturl()


class Ingest(_Section):
    """From the log into the store."""

    batch: Count = Field(500, ge=1, le=10_000, description="Records a transaction at most.")
    orphan_max_age_s: Seconds = Field(
        86_400.0, ge=1, description="Seconds a vote waits for its response before it becomes a dead letter."
    )


class Feedback(_Section):
    """Votes and the right to give them."""

    token_ttl_s: Seconds = Field(
        30 * 86_400.0, ge=60, le=366 * 86_400, description="Seconds for which an answer can be rated."
    )
    max_per_rater_per_minute: Votes = Field(
        120,
        ge=1,
        le=100_000,
        description="Votes a minute of one rater (without a user id: on one answer); more get a retry hint.",
    )


class Schedule(_Section):
    """When a run starts by itself. With both empty, runs start only when asked for."""

    cron: str = Field("", description="Cron expression of five fields, UTC, for example `0 3 * * *`; empty: none.")
    min_new_votes: Votes = Field(0, ge=0, description="Start when this many new thumbs are in; 0: not by votes.")
    check_s: Seconds = Field(2.0, gt=0, le=3600, description="Seconds between looks at the schedule.")

    @field_validator("cron")
    @classmethod
    def _cron_expression(cls, cron: str) -> str:
        from cronsim import CronSim, CronSimError  # only where there is an expression to check

        try:
            if cron and (len(cron.split()) != 5 or not CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))):
                raise CronSimError
        except CronSimError as error:
            raise ValueError("must be a cron expression of five fields, for example `0 3 * * *`") from error
        return cron


class Data(_Section):
    """What a snapshot takes."""

    held_out: Fraction = Field(0.2, description="Share of users whose votes are only used to judge.")
    max_votes_per_rater: Votes = Field(
        200, ge=1, description="Votes of one rater that count towards training; the newest are kept."
    )
    anonymous_as_one: bool = Field(
        True,
        description="Count all votes without a user id as one rater's: up to `data.max_votes_per_rater` teach, none "
        "judge. Off, each such answer has a rater of its own, and who asks often enough can decide what is learned.",
    )
    min_votes_generate: Votes = Field(
        1_500,
        ge=10,
        description="Thumbs to learn from below which a `generate` run says no. Held-out users' don't count, nor those "
        "of the newest slice: of 2,000 thumbs about 1,500 are left.",
    )
    min_votes_classify: Votes = Field(
        150, ge=10, description="Thumbs to learn from below which a `classify` run says no, counted likewise."
    )


class Learn(_Section):
    """Reward model and PPO. The defaults are the ones the benchmarks were run with."""

    seed: Count = Field(0, ge=0, le=2**31 - 1, description="Seed of a run; recorded in its folder.")
    threads: Count = Field(1, ge=1, le=256, description="Threads for torch in a run.")
    niceness: Count = Field(10, ge=0, le=19, description="How far a run steps back for the service (nice).")
    ppo_iterations: Count = Field(20, ge=1, le=10_000, description="`generate`: rollout-and-update rounds.")
    ppo_batch: Count = Field(128, ge=8, le=65_536, description="`generate`: episodes a round.")
    kl_target: Nats = Field(
        2.0, gt=0, le=50, description="`generate`: KL to the reference that beta aims at, nats a reply."
    )
    liked_weight: Ratio = Field(
        0.3, ge=0, le=10, description="`generate`: weight of holding replies with a thumb up likely, beside PPO's loss."
    )
    classify_epochs: Count = Field(20, ge=1, le=1_000, description="`classify`: passes over the votes.")


class Gates(_Section):
    """What a candidate must show before users meet it."""

    max_rater_share: Fraction = Field(0.2, description="Largest share of training votes by one rater.")
    min_reward_auc: Fraction = Field(0.6, description="`generate`: least held-out AUC of the reward model.")
    max_reward_ece: Fraction = Field(0.15, description="`generate`: largest calibration error of the reward model.")
    max_kl: Nats = Field(3.0, gt=0, le=100, description="`generate`: most KL to the champion, nats a reply.")
    min_win_rate: Fraction = Field(0.5, description="`generate`: the win rate's lower bound must lie above this.")
    max_perplexity_ratio: Ratio = Field(
        1.05, gt=1.0, le=10, description="`generate`: most growth of perplexity on text worth keeping."
    )
    min_effective_samples: Votes = Field(
        100, ge=1, description="`classify`: least effective sample size of the off-policy estimate."
    )
    max_weight_share: Fraction = Field(
        0.1, description="`classify`: largest share of the off-policy estimate's weight on one vote."
    )
    max_latency_ratio: Ratio = Field(1.5, ge=1.0, le=100, description="Candidate's median latency over the champion's.")
    blocked_words: LocalPath | None = Field(
        None, description="File of blocked words, one a line; empty: the small list."
    )
    confidence: Ratio = Field(0.95, gt=0.5, lt=1.0, description="Confidence of every interval.")

    @field_validator("blocked_words", mode="before")
    @classmethod
    def _empty_is_none(cls, path: object) -> object:
        return None if path == "" else path


class Telemetry(_Section):
    """Logs and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")
    log_format: Literal["console", "json"] = Field("console", description="For people, or for machines.")
    log_user_text: bool = Field(False, description="Write users' texts into the process log. Off protects them.")


class Settings(_Section):
    """The whole configuration of a process."""

    home: LocalPath = Field(
        default_factory=lambda: Path.home() / ".thumbwheel",
        description="Folder for all that the service keeps.",
    )
    serve: Serve = Serve()
    generate: Generate = Generate()
    classify: Classify = Classify()
    log: Log = Log()
    kafka: Kafka = Kafka()
    database: Database = Database()
    ingest: Ingest = Ingest()
    feedback: Feedback = Feedback()
    schedule: Schedule = Schedule()
    data: Data = Data()
    learn: Learn = Learn()
    gates: Gates = Gates()
    telemetry: Telemetry = Telemetry()

    @field_validator("home", mode="before")
    @classmethod
    def _home_is_named(cls, path: object) -> object:
        if path == "":
            raise ValueError("is empty; name a folder, or leave it out for ~/.thumbwheel")
        return path

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the store and the registry: a secret, since it may hold a password.

        Raises InvalidConfig when the password's file can not be read.
        """
        return self.database.with_password() or f"sqlite:///{self.home / 'store.sqlite'}"

    @property
    def log_path(self) -> Path:
        """File of the embedded event log."""
        return self.home / "log.sqlite"

    @property
    def versions_dir(self) -> Path:
        """Folder of the registry's versions."""
        return self.home / "versions"

    @property
    def runs_dir(self) -> Path:
        """Folder of the runs, one sub-folder each."""
        return self.home / "runs"

    @property
    def keys_path(self) -> Path:
        """File of the secret keys, mode 600, made on first start."""
        return self.home / "keys.json"
