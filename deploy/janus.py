"""A Janus of our own on this machine, for a trial and for the tests.

It listens on loopback only, with secrets made for it alone, and ends with
the process that started it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.request import urlopen

HOUSE = Path(__file__).resolve().parent.parent
LIBRARIES = "/usr/lib/{machine}-linux-gnu/janus"
PLUGINS_OFF = "duktape echotest lua nosip recordplay sip streaming textroom videocall voicemail"
TRANSPORTS_OFF = "mqtt nanomsg pfunix rabbitmq"
EVENTS_OFF = "gelfevh mqttevh nanomsgevh rabbitmqevh wsevh"

GENERAL = """\
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{libraries}/plugins"
    transports_folder = "{libraries}/transports"
    events_folder = "{libraries}/events"
    loggers_folder = "{libraries}/loggers"
    debug_level = 3
    debug_colors = false
    admin_secret = "{admin_secret}"
    server_name = "{code}"
    session_timeout = 20
    hide_dependencies = true
    interface = "127.0.0.1"
    token_auth = true
}}
media: {{ rtp_port_range = "{rtp_from}-{rtp_to}" }}
nat: {{
    ice_enforce_list = "127.0.0.1"
    ignore_mdns = true
    ice_lite = true
}}
plugins: {{ disable = "{plugins_off}" }}
transports: {{ disable = "{transports_off}" }}
loggers: {{ disable = "libjanus_jsonlog.so" }}
events: {{
    broadcast = true
    stats_period = 0
    disable = "{events_off}"
}}
"""
HTTP = """\
general: {{
    json = "compact"
    base_path = "/janus"
    http = true
    port = {api_port}
    ip = "127.0.0.1"
    https = false
}}
admin: {{
    admin_base_path = "/admin"
    admin_http = true
    admin_port = {admin_port}
    admin_ip = "127.0.0.1"
    admin_acl = "127."
}}
"""
WEBSOCKETS = """\
general: {{ json = "compact", ws = true, ws_port = {ws_port}, ws_ip = "127.0.0.1" }}
admin: {{ admin_ws = false }}
"""
EVENTS = """\
general: {{
    enabled = true
    events = "sessions,handles,plugins,core,external"
    grouping = true
    json = "compact"
    backend = "{backend}"
    backend_user = "{code}"
    backend_pwd = "{events_password}"
    max_retransmissions = 8
    retransmissions_backoff = 100
}}
"""
VIDEOROOM = """\
general: {{ admin_key = "{admin_key}", lock_rtp_forward = true, string_ids = true }}
"""
AUDIOBRIDGE = """\
general: {{
    admin_key = "{admin_key}"
    lock_rtp_forward = true
    string_ids = true
    local_ip = "127.0.0.1"
    rtp_port_range = "{sip_from}-{sip_to}"
}}
"""
FILES = {
    "janus.jcfg": GENERAL,
    "janus.transport.http.jcfg": HTTP,
    "janus.transport.websockets.jcfg": WEBSOCKETS,
    "janus.eventhandler.sampleevh.jcfg": EVENTS,
    "janus.plugin.videoroom.jcfg": VIDEOROOM,
    "janus.plugin.audiobridge.jcfg": AUDIOBRIDGE,
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the server listens, and its secrets; kept beside its configuration."""

    code: str
    backend: str
    admin_port: int
    api_port: int
    sip_port: int
    ws_port: int
    rtp_from: int
    rtp_to: int
    sip_from: int
    sip_to: int
    admin_secret: str
    admin_key: str
    events_password: str

    def as_bridge(self) -> dict[str, dict[str, str]]:
        """Return what the Janus driver must be told."""
        return {
            "settings": {
                "admin_url": f"http://127.0.0.1:{self.admin_port}/admin",
                "ws_url": f"ws://127.0.0.1:{self.ws_port}",
            },
            "secrets": {
                "admin_secret": self.admin_secret,
                "admin_key": self.admin_key,
                "events_password": self.events_password,
            },
        }

    def as_audio_bridge(self) -> dict[str, dict[str, str]]:
        """Return what the driver of its AudioBridge must be told."""
        found = self.as_bridge()
        found["settings"] |= {
            "api_url": f"http://127.0.0.1:{self.api_port}/janus",
            "sip_address": f"127.0.0.1:{self.sip_port}",
        }
        return found


def is_installed() -> bool:
    return bool(shutil.which("janus") and shutil.which("gcc"))


def prepare(folder: Path, code: str, backend: str, *, media_ports: int = 400) -> Server:
    """Choose ports and secrets, and write the configuration; events go to `backend`."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    admin_port, api_port, ws_port, sip_port = (_free_port() for _ in range(4))
    first = 20_000 + secrets.randbelow(18) * media_ports
    half = first + media_ports // 2
    server = Server(
        code=code,
        backend=backend,
        admin_port=admin_port,
        api_port=api_port,
        sip_port=sip_port,
        ws_port=ws_port,
        rtp_from=first,
        rtp_to=half - 1,
        sip_from=half,
        sip_to=first + media_ports - 1,
        admin_secret=secrets.token_urlsafe(24),
        admin_key=secrets.token_urlsafe(24),
        events_password=secrets.token_urlsafe(24),
    )
    write(folder, server)
    return server


def write(folder: Path, server: Server) -> None:
    """Write the configuration files that Janus reads, and the one that we read."""
    names = {
        **asdict(server),
        "folder": folder,
        "libraries": LIBRARIES.format(machine=os.uname().machine),
        "plugins_off": _disabled(PLUGINS_OFF),
        "transports_off": _disabled(TRANSPORTS_OFF),
        "events_off": _disabled(EVENTS_OFF),
    }
    for name, text in FILES.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text.format(**names))
    (folder / "bridge.json").touch(mode=0o600)
    (folder / "bridge.json").write_text(json.dumps(server.as_bridge()))


def start(folder: Path, server: Server) -> subprocess.Popen[bytes]:
    """Start Janus and return once it answers."""
    shim = folder / "lo_ifaddrs.so"
    if not shim.exists():
        source = HOUSE / "deploy" / "lo_ifaddrs.c"
        command = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(shim), str(source), "-ldl"]
        subprocess.run(command, check=True)
    with (folder / "janus.log").open("ab") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "janus", "-F", str(folder)],
            env={**os.environ, "LD_PRELOAD": str(shim)},
            stdout=log,
            stderr=log,
        )
    for _ in range(100):
        time.sleep(0.05)
        if process.poll() is not None:
            raise RuntimeError(f"Janus does not start; see {folder / 'janus.log'}")
        try:
            with urlopen(f"http://127.0.0.1:{server.admin_port}/admin/info", timeout=1):
                return process
        except OSError:
            continue
    process.kill()
    raise RuntimeError("Janus does not answer")


def _disabled(names: str) -> str:
    return ",".join(f"libjanus_{name}.so" for name in names.split())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
