"""A real Apache Kafka broker (KRaft, one node) on loopback ports and a folder of its own, made to be killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import answers

VERSION = "4.1.1"
CURE = "no Kafka here; get it with: apt-get install default-jre-headless maven && make servers"
_HEAP = "-Xmx384m"
_START_S = 120.0
_LOOK_S = 0.1

USER = "thumbwheel"
PASSWORD = "correct-horse"
_STORE_PASSWORD = "of-the-key-store"

# Besides the open door there is one with TLS and passwords.
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secure_port},CONTROLLER://127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={plain_login} required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={scram_login} required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram_login} required;
ssl.keystore.type=PKCS12
ssl.keystore.location={key_store}
ssl.keystore.password={store_password}
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.backoff.ms=500
"""


def libs() -> Path | None:
    """Return the folder of Kafka's jars, None where there is no Java or no Kafka."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("THUMBWHEEL_KAFKA_LIBS") or cache / "thumbwheel" / f"kafka-{VERSION}")
    return folder if folder.is_dir() and shutil.which("java") else None


class KafkaBroker:
    """One broker. Its ports and its data stay the same over kills and restarts."""

    def __init__(self, libs: Path, folder: Path) -> None:
        """Format the storage in `folder`; nothing runs yet."""
        self._libs = libs
        self._folder = folder
        self._properties = folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self._key_store = folder / "broker.p12"
        self._port, self._secure_port, controller_port = _free_ports(3)
        self._properties.write_text(
            _PROPERTIES.format(
                port=self._port,
                secure_port=self._secure_port,
                controller_port=controller_port,
                data=folder / "data",
                user=USER,
                password=PASSWORD,
                plain_login="org.apache.kafka.common.security.plain.PlainLoginModule",
                scram_login="org.apache.kafka.common.security.scram.ScramLoginModule",
                key_store=self._key_store,
                store_password=_STORE_PASSWORD,
            )
        )
        self._make_certificate()
        self._format()

    @property
    def data(self) -> Path:
        """Folder of everything it keeps of topics."""
        return self._folder / "data"

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`."""
        return f"127.0.0.1:{self._port}"

    @property
    def secure_bootstrap(self) -> str:
        """Address for clients that speak TLS and log in as `USER`."""
        return f"127.0.0.1:{self._secure_port}"

    @property
    def ca_file(self) -> Path:
        """What clients have to trust."""
        return self._folder / "ca.pem"

    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, on what is stored, and return when clients are served. Does nothing while it runs."""
        if self.is_running():
            return
        with (self._folder / "output.txt").open("ab") as output:
            command = self._java("kafka.Kafka", str(self._properties))
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=self._folder)
        ends = time.monotonic() + _START_S
        while not answers(self._port):
            if not self.is_running() or time.monotonic() > ends:
                raise RuntimeError(f"Kafka did not start ({self._process.poll()}):\n{self._said()}")
            time.sleep(_LOOK_S)

    def _said(self) -> str:
        return (self._folder / "output.txt").read_text()[-4000:]

    def kill(self) -> None:
        """End it by SIGKILL, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it by SIGSTOP: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def _make_certificate(self) -> None:
        made = "-genkeypair -keyalg RSA -keysize 2048 -validity 30 -dname CN=broker -ext san=ip:127.0.0.1"
        self._keytool(*made.split(), "-storetype", "PKCS12")
        self._keytool("-exportcert", "-rfc", "-file", str(self.ca_file))

    def _keytool(self, *arguments: str) -> None:
        store = ["-alias", "broker", "-keystore", str(self._key_store), "-storepass", _STORE_PASSWORD]
        _run(["keytool", *arguments, *store], self._folder)

    def _format(self) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):  # would be read as an option
            cluster = f"A{cluster[1:]}"
        command = self._java("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster)
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            command += ["--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]"]
        _run([*command, "-c", str(self._properties)], self._folder)

    def _java(self, *arguments: str) -> list[str]:
        options = [_HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return ["java", *options, "-cp", f"{self._libs}/*", *arguments]


@contextmanager
def running_broker(libs: Path, folder: Path) -> Iterator[KafkaBroker]:
    """Run a broker on `folder` while the block runs."""
    broker = KafkaBroker(libs, folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}\n{done.stderr}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
