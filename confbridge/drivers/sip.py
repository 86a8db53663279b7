"""A small SIP user agent (RFC 3261) over UDP: calls and is called, and leaves the sound to others.

It speaks for a bridge that can send and take RTP but knows no SIP. It does what that needs and no
more: no registration, no authentication, no re-negotiation. Sound is PCMU or PCMA (RFC 3551).
"""

from __future__ import annotations

import logging
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from confbridge.errors import DriverError

log = logging.getLogger(__name__)

T1 = 0.5  # seconds until what was not answered is sent again; doubled each time (17.1.1.1)
T2 = 4.0
GIVE_UP = 32.0  # 64 times T1
TICK = 1.0  # seconds between two looks whether to stop
ALIVE_EVERY = 20.0  # seconds between two questions to each phone whether it is still there
MOST_SILENT = 3  # of them unanswered, until a call is over
RING = 60.0  # so long a called endpoint may ring
LARGEST = 65_535
PORT = 5060
CODECS = {"pcmu": 0, "pcma": 8}
METHODS = "INVITE, ACK, BYE, CANCEL, OPTIONS"


@dataclass(frozen=True)
class Message:
    """A request (`method`) or an answer (`status`)."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: str = ""

    @property
    def method(self) -> str:
        return "" if self.first.startswith("SIP/") else self.first.partition(" ")[0]

    @property
    def uri(self) -> str:
        return self.first.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.first.split(" ")[1]) if self.first.startswith("SIP/") else 0

    def get(self, name: str) -> str:
        """Return the first header of that name; "" if there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), "")

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def user(self) -> str:
        """The user part of the address that is called."""
        return address_of(self.uri).partition("@")[0]

    @property
    def caller(self) -> str:
        """The address that calls, without a scheme."""
        return address_of(self.get("from"))


@dataclass(frozen=True)
class Media:
    """Where RTP is sent to, and in which codec."""

    ip: str
    port: int
    codec: str = "pcmu"

    def sdp(self) -> str:
        number = CODECS[self.codec]
        lines = [
            *("v=0", f"o=- {int(time.time())} 1 IN IP4 {self.ip}", "s=-", f"c=IN IP4 {self.ip}"),
            *("t=0 0", f"m=audio {self.port} RTP/AVP {number} 101"),
            f"a=rtpmap:{number} {self.codec.upper()}/8000",
            *("a=rtpmap:101 telephone-event/8000", "a=sendrecv"),
        ]
        return "\r\n".join([*lines, ""])


SHORT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}


def parsed(data: bytes) -> Message:
    """Return the message in a datagram; raises ValueError if it is none."""
    head, _, body = data.decode("utf-8").partition("\r\n\r\n")
    first, *rest = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    if not (first.startswith("SIP/2.0 ") or first.endswith(" SIP/2.0")):
        raise ValueError("not SIP")
    headers = []
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("a header without a name")
        key = name.strip().lower()
        headers.append((SHORT.get(key, key), value.strip()))
    return Message(first, tuple(headers), body)


def media_of(sdp: str) -> Media:
    """Return where the other side wants its sound (RFC 4566); raises ValueError."""
    ip = port = None
    codec = ""
    for line in sdp.splitlines():
        if line.startswith("c=IN IP4 "):
            ip = line[9:].split("/")[0].strip()
        if line.startswith("m=audio "):
            parts = line[8:].split()
            port = int(parts[0])
            codec = next((name for name, pt in CODECS.items() if str(pt) in parts[2:]), "")
    if not ip or not port or not codec:
        raise ValueError("no sound that we know")
    return Media(ip, port, codec)


def address_of(text: str) -> str:
    """Return user@host of a header or an address, in small letters."""
    inside = re.search(r"<([^>]*)>", text)
    bare = inside.group(1) if inside else text
    return re.sub(r"^sips?:", "", bare.strip()).partition(";")[0].lower()


@dataclass
class Call:
    """One call, from whichever side it came."""

    call_id: str
    local: str  # From or To of ours, with the tag
    remote: str
    target: str  # where requests of ours go to
    peer: tuple[str, int]
    sequence: int = 1
    on_end: Callable[[], None] = lambda: None
    answers: list[Message] = field(default_factory=list)
    answered: threading.Condition = field(default_factory=threading.Condition)
    accepted: bytes = b""  # our 200, repeated until it is acknowledged
    acknowledged: bool = False
    ended: bool = False
    ack: bytes = b""  # ours, sent again when their 200 is
    silent: int = 0  # questions that were not answered


Admission = tuple[int, Media | None, Callable[[], None]]  # status, where our sound is, on end


class Agent:
    """A user agent on one UDP port, in a thread of its own.

    `admit` is asked about every call that comes in: by the message and where its sound is. It
    answers with a status (200 to take it), where our own sound is, and what to do at its end.
    """

    def __init__(
        self,
        host: str,
        port: int,
        admit: Callable[[Message, Media], Admission] | None = None,
    ) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._socket.settimeout(TICK)  # so that it is noticed when to stop
        self.host, self.port = self._socket.getsockname()
        self._admit = admit
        self._calls: dict[str, Call] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="sip", daemon=True)
        self._thread.start()
        threading.Thread(target=self._look_after, name="sip-alive", daemon=True).start()

    def call(
        self, address: str, name: str, answer: Callable[[Media], tuple[Media, Callable[[], None]]]
    ) -> Call:
        """Call an address; return once it has answered and its sound is joined.

        The offer is left to the other side (RFC 3261, 13.2.1), as ours can be made only when
        its address is known: `answer` makes it.

        Raises DriverError.
        """
        target = address if address.startswith("sip:") else f"sip:{address}"
        call = Call(
            call_id=f"{secrets.token_hex(12)}@{self.host}",
            local=f'"{name}" <sip:confbridge@{self.host}:{self.port}>;tag={secrets.token_hex(6)}',
            remote=f"<{target}>",
            target=target,
            peer=_peer(target),
        )
        with self._lock:
            self._calls[call.call_id] = call
        invite = self._request(call, "INVITE")
        final = self._transact(call, invite)
        if final.status >= 300:
            self._acknowledge(call, final, "")
            self._forget(call)
            raise DriverError(
                f"{address} answers {final.status}", permanent=final.status in {403, 404, 484, 604}
            )
        call.remote = final.get("to")
        call.target = address_uri(final.get("contact")) or target
        try:
            ours, call.on_end = answer(media_of(final.body))
        except (DriverError, ValueError) as error:
            self._acknowledge(call, final, "")
            self.hang_up(call)
            raise DriverError(f"the sound of {address} cannot be joined: {error}") from error
        self._acknowledge(call, final, ours.sdp())
        call.acknowledged = True
        return call

    def hang_up(self, call: Call) -> None:
        """End a call; what becomes of our BYE does not matter."""
        if call.ended:
            return
        call.sequence += 1
        self._send(self._request(call, "BYE"), call.peer)
        self._end(call)

    def hang_up_by(self, call_id: str) -> None:
        """End a call by its Call-ID; one that has ended is no error."""
        call = self._calls.get(call_id)
        if call is not None:
            self.hang_up(call)

    def stop(self) -> None:
        """End every call, and listen no more."""
        for call in list(self._calls.values()):
            self.hang_up(call)
        self._stopping.set()
        self._thread.join(2 * TICK)
        self._socket.close()

    def _transact(self, call: Call, invite: bytes) -> Message:
        """Send an INVITE until something comes, and return the final answer."""
        wait, started = T1, time.monotonic()
        with call.answered:
            self._send(invite, call.peer)
            while True:
                final = [one for one in call.answers if one.status >= 200]
                if final:
                    return final[0]
                passed = time.monotonic() - started
                limit = RING if call.answers else GIVE_UP
                if passed > limit:
                    self._send(_cancelled(invite), call.peer)
                    self._forget(call)
                    raise DriverError("nobody answers")
                if not call.answered.wait(wait) and not call.answers:
                    self._send(invite, call.peer)
                    wait = min(wait * 2, T2)

    def _request(self, call: Call, method: str, body: str = "") -> bytes:
        via = f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{secrets.token_hex(8)};rport"
        lines = [
            f"{method} {call.target} SIP/2.0",
            *(f"Via: {via}", "Max-Forwards: 70", f"From: {call.local}", f"To: {call.remote}"),
            *(f"Call-ID: {call.call_id}", f"CSeq: {call.sequence} {method}"),
            *(f"Contact: <sip:confbridge@{self.host}:{self.port}>", f"Allow: {METHODS}"),
        ]
        return _written(lines, body)

    def _acknowledge(self, call: Call, final: Message, body: str) -> None:
        call.ack = self._request(call, "ACK", body)
        self._send(call.ack, call.peer)
        if final.status < 300:
            call.answers.clear()

    def _answer(self, request: Message, status: str, body: str = "", to: str = "") -> bytes:
        lines = [
            f"SIP/2.0 {status}",
            *(f"Via: {one}" for one in request.every("via")),
            *(f"From: {request.get('from')}", f"To: {to or request.get('to')}"),
            *(f"Call-ID: {request.get('call-id')}", f"CSeq: {request.get('cseq')}"),
            *(f"Contact: <sip:confbridge@{self.host}:{self.port}>", f"Allow: {METHODS}"),
        ]
        return _written(lines, body)

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                data, peer = self._socket.recvfrom(LARGEST)
            except TimeoutError:
                continue
            except OSError:
                return
            try:
                message = parsed(data)
                self._take(message, peer)
            except (ValueError, IndexError) as error:
                log.info("a datagram makes no sense: %s", error)

    def _take(self, message: Message, peer: tuple[str, int]) -> None:
        call = self._calls.get(message.get("call-id"))
        if message.status:
            if call is not None:
                self._answered(call, message)
            return
        match message.method:
            case "INVITE" if call is None:
                self._begin(message, peer)
            case "INVITE" if call is not None and call.accepted:
                self._send(call.accepted, peer)  # it has not come the first time
            case "ACK" if call is not None:
                call.acknowledged = True
            case "BYE" | "CANCEL" if call is not None:
                self._send(self._answer(message, "200 OK"), peer)
                self._end(call)
            case "BYE" | "CANCEL":
                self._send(self._answer(message, "481 Call Does Not Exist"), peer)
            case "OPTIONS":
                self._send(self._answer(message, "200 OK"), peer)

    def _answered(self, call: Call, message: Message) -> None:
        call.silent = 0
        if not message.get("cseq").endswith("INVITE"):
            return
        if call.ack and message.status >= 200:
            self._send(call.ack, call.peer)  # the first one has not come
            return
        with call.answered:
            call.answers.append(message)
            call.answered.notify_all()

    def _look_after(self) -> None:
        """Ask every phone now and then whether it is still there (RFC 3261, 11)."""
        while not self._stopping.wait(ALIVE_EVERY):
            for call in list(self._calls.values()):
                if not call.acknowledged:
                    continue
                call.silent += 1
                if call.silent > MOST_SILENT:
                    self.hang_up(call)
                else:
                    call.sequence += 1
                    self._send(self._request(call, "OPTIONS"), call.peer)

    def _begin(self, message: Message, peer: tuple[str, int]) -> None:
        """Enter a call, at once: the same INVITE may come again while we are deciding about it."""
        call = Call(
            call_id=message.get("call-id"),
            local=f"{message.get('to')};tag={secrets.token_hex(6)}",
            remote=message.get("from"),
            target=address_uri(message.get("contact")) or message.uri,
            peer=peer,
        )
        with self._lock:
            self._calls[call.call_id] = call
        threading.Thread(target=self._invited, args=(call, message), daemon=True).start()

    def _invited(self, call: Call, message: Message) -> None:
        self._send(self._answer(message, "100 Trying"), call.peer)
        try:
            theirs = media_of(message.body)
        except ValueError:
            self._refuse(call, message, 488)
            return
        status, ours, on_end = 404, None, _nothing
        try:
            if self._admit is not None:
                status, ours, on_end = self._admit(message, theirs)
        except Exception:  # whatever it is, whoever calls has to be told something
            log.exception("a call could not be decided about")
            status = 500
        if status != 200 or ours is None:
            self._refuse(call, message, status)
            return
        call.on_end = on_end
        if call.ended:  # it was taken back while we were deciding
            on_end()
            return
        call.accepted = self._answer(message, "200 OK", ours.sdp(), to=call.local)
        self._accept(call)

    def _refuse(self, call: Call, message: Message, status: int) -> None:
        reason = REASONS.get(status, "Refused")
        self._send(self._answer(message, f"{status} {reason}", to=call.local), call.peer)
        self._forget(call)

    def _accept(self, call: Call) -> None:
        """Repeat our 200 until it is acknowledged (RFC 3261, 13.3.1.4)."""
        wait, started = T1, time.monotonic()
        while not call.acknowledged and not call.ended:
            self._send(call.accepted, call.peer)
            time.sleep(wait)
            wait = min(wait * 2, T2)
            if time.monotonic() - started > GIVE_UP:
                self.hang_up(call)

    def _end(self, call: Call) -> None:
        if call.ended:
            return
        call.ended = True
        self._forget(call)
        call.on_end()

    def _forget(self, call: Call) -> None:
        with self._lock:
            self._calls.pop(call.call_id, None)

    def _send(self, data: bytes, peer: tuple[str, int]) -> None:
        try:
            self._socket.sendto(data, peer)
        except OSError as error:
            log.warning("nothing can be sent to %s: %s", peer[0], error)


REASONS = {
    403: "Forbidden",
    404: "Not Found",
    486: "Busy Here",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    503: "Service Unavailable",
}


def address_uri(contact: str) -> str:
    """Return the address in a Contact."""
    inside = re.search(r"<([^>]*)>", contact)
    return inside.group(1) if inside else contact.partition(";")[0].strip()


def _peer(uri: str) -> tuple[str, int]:
    host = address_of(uri).rpartition("@")[2]
    name, _, port = host.partition(":")
    number = int(port) if port.isdecimal() else PORT
    if not 0 < number <= LARGEST or not name:
        raise DriverError(f"{host} is no address that can be called", permanent=True)
    return name, number


def _cancelled(invite: bytes) -> bytes:
    """Return the CANCEL of an INVITE: the same, but for its method (RFC 3261, 9.1)."""
    head = invite.decode().partition("\r\n\r\n")[0].replace("INVITE sip", "CANCEL sip", 1)
    lines = [
        line.replace(" INVITE", " CANCEL") if line.startswith("CSeq:") else line
        for line in head.split("\r\n")
        if not line.startswith(("Contact:", "Allow:"))
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _written(lines: list[str], body: str) -> bytes:
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _nothing() -> None:
    """Do nothing at the end of a call that was not taken."""
