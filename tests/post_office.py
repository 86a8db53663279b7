"""A real SMTP server on loopback that can be away, slow, or refuse."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller


class PostOffice:
    """Keeps what it takes in `mails`; what it refuses is told by `refuse`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: list[EmailMessage] = []
        self.refuse: dict[str, str] = {}  # address: the SMTP answer to it
        self.slow = 0.0  # seconds before a mail is taken
        self.connections = 0
        self.begun = 0  # how many mails the other side began to hand over
        self.pass_on: dict[str, Callable[[bytes, str], None]] = {}  # local part: who takes its mail
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def close(self) -> None:
        if self._controller:
            self._controller.stop()
            self._controller = None

    def of(self, address: str) -> list[EmailMessage]:
        return [one for one in self.mails if address in one["To"]]

    async def handle_EHLO(
        self, _server: Any, session: Any, _envelope: Any, name: str, answers: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = name
        return answers

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.begun += 1
        await asyncio.sleep(self.slow)
        for address in envelope.rcpt_tos:
            local = address.partition("@")[0].partition("+")[0]
            if local in self.pass_on:
                await asyncio.to_thread(self.pass_on[local], envelope.content, address)
        made = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(cast(EmailMessage, made))
        return "250 taken"
