"""One sandbox on disk: where its files are, which ports and tools it uses, and who it is.

Invariants:
- Everything a sandbox writes lies below its state directory (mode 0700), except built tools and
  port promises, which all sandboxes of the user share in the cache.
- `identity` is drawn once per state directory; it marks every process of the sandbox.
It is data and paths only; starting and stopping is `sandbox.supervisor`.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.pki import KeyPair
from sandbox.ports import LOOPBACK
from sandbox.toolchain import Toolchain, cache_root

CHECKOUT = Path(__file__).resolve().parents[1]
DEFAULT_STATE = CHECKOUT / ".sandbox"
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
SYSTEM_NAMESPACE = "crossplane-system"


@dataclass
class Site:
    """The state directory and what the steps fill in while they run (`ports`, `programs`, `manifests`)."""

    state: Path
    toolchain: Toolchain = field(default_factory=Toolchain)
    ports: dict[str, int] = field(default_factory=dict)
    programs: dict[str, Path] = field(default_factory=dict)
    manifests: dict[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def records(self) -> Path:
        return self.state / "run"

    @property
    def certificates(self) -> Path:
        return self.state / "pki"

    @property
    def promises(self) -> Path:
        return cache_root() / "ports.json"

    @property
    def identity(self) -> str:
        return (self.state / "identity").read_text().strip()

    def exists(self) -> bool:
        return (self.state / "identity").is_file()

    def create(self) -> None:
        """Make the state directory, or complete it."""
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        for directory in (self.logs, self.records, self.state / "data"):
            directory.mkdir(exist_ok=True, mode=0o700)
        if not self.exists():
            write_private(self.state / "identity", secrets.token_hex(8) + "\n")

    def data(self, name: str) -> Path:
        """The data directory of a component, made if need be."""
        path = self.state / "data" / name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def address(self, port: str) -> str:
        """`127.0.0.1:PORT` of a named port."""
        return f"{LOOPBACK}:{self.ports[port]}"

    def pair(self, authority: str, name: str) -> KeyPair:
        home = self.certificates / authority / name
        return KeyPair(home / "tls.crt", home / "tls.key")

    def authority(self, name: str) -> Path:
        return self.certificates / name / "ca.crt"

    def kubeconfig(self, user: str = "admin") -> Path:
        """The kubeconfig of a person (`admin`) or of a component."""
        return self.state / ("kubeconfig" if user == "admin" else f"data/kubeconfigs/{user}.yaml")

    def secret(self, name: str) -> str:
        """A password of this sandbox, drawn on first use and kept in a file that only its owner reads."""
        path = self.state / "data" / "secrets" / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def load_ports(self) -> None:
        """Take the ports that an earlier start recorded, if any."""
        recorded = self.state / "ports.json"
        self.ports = json.loads(recorded.read_text()) if recorded.is_file() else {}

    def save_ports(self) -> None:
        write_private(self.state / "ports.json", json.dumps(self.ports, indent=2) + "\n")

    @property
    def python(self) -> Path:
        """The interpreter for components, by one name however we were started: it is part of what they run."""
        here = Path(sys.prefix) / "bin" / "python3"
        return here if here.exists() else Path(sys.executable)

    def base_environment(self) -> dict[str, str]:
        """What every component gets: enough to run, and nothing of the caller's cloud or cluster access."""
        return {name: os.environ[name] for name in INHERITED if name in os.environ}

    def python_environment(self) -> dict[str, str]:
        """The environment of a component that is Python from this checkout."""
        roots = [CHECKOUT, CHECKOUT / "day2", CHECKOUT / "functions"]
        return self.base_environment() | {
            "PYTHONPATH": os.pathsep.join(map(str, roots)),
            "PYTHONUNBUFFERED": "1",
            "VIRTUAL_ENV": sys.prefix,
        }


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, completely or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
