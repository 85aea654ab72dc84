"""Checks of files that hold a password or a key: who may read them."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from thumbwheel.app.finding import Finding
from thumbwheel.app.trust import secret_files
from thumbwheel.config.settings import Settings


def examine_secrets(settings: Settings) -> Iterator[Finding]:
    """Warn of such files that every user of this machine can read; those that can't be seen fail elsewhere.

    The group may read: that is how orchestrators hand a secret to a process that is not root.
    """
    files = {
        "database.password_file": settings.database.password_file,
        "kafka.sasl_password_file": settings.kafka.sasl_password_file,
        **secret_files(settings),
    }
    for setting, path in files.items():
        if path is None:
            continue
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & stat.S_IROTH:
            found = f"{setting}: {path} can be read by every user of this machine"
            yield Finding("password", True, found, f"chmod 600 {path}", warning=True)
        else:
            yield Finding("password", True, f"{setting}: {path} is private")
