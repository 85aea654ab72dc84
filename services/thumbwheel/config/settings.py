"""Every setting, each with a unit, a range and a sentence. Values come from a file, the environment and flags.

Each section is a file of its name in `sections/`; the parts of the service import theirs from here.

Names of environment variables: `THUMBWHEEL_` + the path in capitals joined by two underscores, for example
`THUMBWHEEL_CLASSIFY__PROBABILITY_FLOOR=0.05`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from thumbwheel.config.paths import LocalPath
from thumbwheel.config.sections.artifacts import Artifacts
from thumbwheel.config.sections.auth import Auth
from thumbwheel.config.sections.canary import Canary
from thumbwheel.config.sections.classify import Classify
from thumbwheel.config.sections.data import Data
from thumbwheel.config.sections.database import Database
from thumbwheel.config.sections.feedback import Feedback
from thumbwheel.config.sections.gates import Gates
from thumbwheel.config.sections.generate import Generate
from thumbwheel.config.sections.ingest import Ingest
from thumbwheel.config.sections.kafka import Kafka
from thumbwheel.config.sections.learn import Learn
from thumbwheel.config.sections.log import Log
from thumbwheel.config.sections.probes import Probes
from thumbwheel.config.sections.ray import Ray
from thumbwheel.config.sections.schedule import Schedule
from thumbwheel.config.sections.section import Section
from thumbwheel.config.sections.serve import Serve
from thumbwheel.config.sections.store import Store
from thumbwheel.config.sections.tag import Tag
from thumbwheel.config.sections.telemetry import Telemetry
from thumbwheel.config.sections.tls import Tls
from thumbwheel.config.sections.web import Web

__all__ = [
    "Artifacts",
    "Auth",
    "Canary",
    "Classify",
    "Data",
    "Database",
    "Feedback",
    "Gates",
    "Generate",
    "Ingest",
    "Kafka",
    "Learn",
    "Log",
    "Probes",
    "Ray",
    "Schedule",
    "Serve",
    "Settings",
    "Store",
    "Tag",
    "Telemetry",
    "Tls",
    "Web",
]


class Settings(Section):
    """The whole configuration of a process."""

    home: LocalPath = Field(
        default_factory=lambda: Path.home() / ".thumbwheel",
        description="Folder for all that the service keeps.",
    )
    serve: Serve = Serve()
    tls: Tls = Tls()
    auth: Auth = Auth()
    ray: Ray = Ray()
    web: Web = Web()
    probes: Probes = Probes()
    generate: Generate = Generate()
    classify: Classify = Classify()
    tag: Tag = Tag()
    log: Log = Log()
    kafka: Kafka = Kafka()
    database: Database = Database()
    store: Store = Store()
    artifacts: Artifacts = Artifacts()
    ingest: Ingest = Ingest()
    feedback: Feedback = Feedback()
    schedule: Schedule = Schedule()
    data: Data = Data()
    learn: Learn = Learn()
    gates: Gates = Gates()
    canary: Canary = Canary()
    telemetry: Telemetry = Telemetry()

    @field_validator("home", mode="before")
    @classmethod
    def _home_is_named(cls, path: object) -> object:
        if path == "":
            raise ValueError("is empty; name a folder, or leave it out for ~/.thumbwheel")
        return path

    @model_validator(mode="after")
    def _votes_outlive_no_answer(self) -> Self:
        kept_s = self.store.retention_days * 86_400
        if 0 < kept_s < self.feedback.token_ttl_s:
            raise ValueError(
                f"store.retention_days is {self.store.retention_days}, but an answer can be rated for "
                f"{self.feedback.token_ttl_s / 86_400:g} days: raise it, or lower feedback.token_ttl_s"
            )
        return self

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
        """Folder of the registry's versions, unless `artifacts.url` names another place."""
        return self.home / "versions"

    @property
    def versions_cache_dir(self) -> Path:
        """Folder of versions that were fetched from a remote store."""
        return self.home / "cache" / "versions"

    @property
    def runs_dir(self) -> Path:
        """Folder of the runs, one sub-folder each."""
        return self.home / "runs"

    @property
    def keys_path(self) -> Path:
        """File of the secret keys, mode 600: made by `up` on its first start, or by `thumbwheel keys create`."""
        return self.feedback.keys_file or self.home / "keys.json"
