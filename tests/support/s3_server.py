"""A real S3 gateway (S3Proxy over a local folder) on a free loopback port, made to be killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import answers, free_port

VERSION = "3.1.0"
CURE = "no S3 gateway here; get it with: apt-get install default-jre-headless maven && make servers"
USER = "tester"
PASSWORD = "paSSword-0f-tests"
_HEAP = "-Xmx256m"
_START_S = 60.0
_LOOK_S = 0.1
_LOGGING = Path(__file__).parent / "s3" / "logback.xml"

# The gateway does not know the checksum headers that clients send since 2025 and would refuse them.
_PROPERTIES = """
s3proxy.endpoint=http://127.0.0.1:{port}
s3proxy.authorization=aws-v4
s3proxy.identity={user}
s3proxy.credential={password}
s3proxy.ignore-unknown-headers=true
jclouds.provider=filesystem-nio2
jclouds.identity=unused
jclouds.credential=unused
jclouds.filesystem.basedir={data}
"""


def libs() -> Path | None:
    """Return the folder of the gateway's jars, None where there is no Java or no gateway."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("THUMBWHEEL_S3_LIBS") or cache / "thumbwheel" / f"s3proxy-{VERSION}")
    return folder if folder.is_dir() and shutil.which("java") else None


def environment() -> dict[str, str]:
    """What a client's environment has to say to be let in."""
    return {
        "AWS_ACCESS_KEY_ID": USER,
        "AWS_SECRET_ACCESS_KEY": PASSWORD,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class S3Gateway:
    """One gateway. Its port and its data stay the same over kills and restarts."""

    def __init__(self, libs: Path, folder: Path) -> None:
        """Write its configuration into `folder`; nothing runs yet."""
        self._libs = libs
        self._folder = folder
        self._data = folder / "data"
        self._data.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self._properties = folder / "s3proxy.conf"
        self._properties.write_text(
            _PROPERTIES.format(port=self._port, user=USER, password=PASSWORD, data=self._data), encoding="utf-8"
        )

    @property
    def endpoint_url(self) -> str:
        """Address for clients."""
        return f"http://127.0.0.1:{self._port}"

    def new_bucket(self) -> str:
        """Make an empty bucket with a name of its own."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        (self._data / name).mkdir()
        return name

    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, on what is stored, and return when clients are served. Does nothing while it runs."""
        if self.is_running():
            return
        output = self._folder / "output.txt"
        with output.open("ab") as written:
            self._process = subprocess.Popen(self._command(), stdout=written, stderr=subprocess.STDOUT)
        ends = time.monotonic() + _START_S
        while not answers(self._port):
            if not self.is_running() or time.monotonic() > ends:
                raise RuntimeError(f"the S3 gateway did not start:\n{output.read_text()[-4000:]}")
            time.sleep(_LOOK_S)

    def kill(self) -> None:
        """End it by SIGKILL, in the middle of whatever it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(60)
            self._process = None

    def pause(self) -> None:
        """Stop it by SIGSTOP: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _command(self) -> list[str]:
        options = [_HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlogback.configurationFile={_LOGGING}"]
        main = ["org.gaul.s3proxy.Main", "--properties", str(self._properties)]
        return ["java", *options, "-cp", f"{self._libs}/*", *main]


@contextmanager
def running_gateway(libs: Path, folder: Path) -> Iterator[S3Gateway]:
    """Run a gateway on `folder` while the block runs."""
    gateway = S3Gateway(libs, folder)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.kill()
