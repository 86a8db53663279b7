"""A real IMAP server on loopback, with a mailbox of our own, filled by LMTP."""

from __future__ import annotations

import smtplib
import subprocess
import time
from pathlib import Path

from imapclient import IMAPClient

from tests.conftest import free_port

PASSWORD = "only-for-tests"
CONFIGURATION = """
protocols = imap lmtp
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:{folder}/mail/%n
first_valid_uid = 1
recipient_delimiter = +
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%n allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
"""


class Dovecot:
    """Dovecot with one account for whoever asks; what is handed to it lies in INBOX."""

    def __init__(self, folder: Path, user: str = "hoinghi") -> None:
        self.folder, self.user = folder, user
        self.imap, self.lmtp = free_port(), free_port()

    @property
    def url(self) -> str:
        return f"imap://{self.user}:{PASSWORD}@127.0.0.1:{self.imap}/INBOX"

    def start(self) -> None:
        for name in ("mail", "state"):
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name).chmod(0o777)
        written = CONFIGURATION.format(
            folder=self.folder, password=PASSWORD, imap=self.imap, lmtp=self.lmtp
        )
        file = self.folder / "dovecot.conf"
        file.write_text(written)
        self.process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(file)])
        end = time.monotonic() + 20
        while True:
            try:
                with self.client():
                    return
            except OSError:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.1)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def client(self) -> IMAPClient:
        made = IMAPClient("127.0.0.1", port=self.imap, ssl=False)
        made.login(self.user, PASSWORD)
        return made

    def take(self, raw: bytes, recipient: str, sender: str = "") -> None:
        """Let a mail lie in the mailbox, as our mail server does."""
        with smtplib.LMTP("127.0.0.1", self.lmtp) as server:
            server.sendmail(sender, [recipient], raw)

    def count(self, criteria: str = "ALL", folder: str = "INBOX") -> int:
        with self.client() as client:
            if not client.folder_exists(folder):
                return 0
            client.select_folder(folder, readonly=True)
            return len(client.search([criteria]))
