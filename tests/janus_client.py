"""A participant without a browser: aiortc against a real Janus, sound alone."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import aioice.ice
import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

PLUGIN = "janus.plugin.videoroom"
KEEP_ALIVE = 5.0

# aioice leaves out loopback, which is all there is here.
aioice.ice.get_host_addresses = lambda **_: ["127.0.0.1"]


class Participant:
    """One leg: it joins, sends sound, and leaves when it is told to."""

    def __init__(self, client: httpx.AsyncClient, api_url: str, ticket: dict[str, Any]) -> None:
        self.client, self.api_url, self.ticket = client, api_url, ticket
        # Between asking and being told it happened: when, this process may be too busy to see.
        self.joined: list[datetime] = []
        self.left: list[datetime] = []

    async def join(self) -> None:
        """Come in; return once Janus takes our sound."""
        token, room, pin = (self.ticket[name] for name in ("token", "room", "pin"))
        self.session = (await self.ask("", janus="create"))["data"]["id"]
        attached = await self.ask(f"/{self.session}", janus="attach", plugin=PLUGIN)
        self.handle = f"/{self.session}/{attached['data']['id']}"
        body = {"request": "join", "ptype": "publisher", "room": room, "pin": pin, "token": token}
        self.joined.append(datetime.now(UTC))
        await self.ask(self.handle, janus="message", body={**body, "display": self.ticket["name"]})
        await self.told("joined")
        self.joined.append(datetime.now(UTC))
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTrack(AudioStreamTrack())
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = {"type": "offer", "sdp": self.connection.localDescription.sdp}
        wanted = {"request": "configure", "audio": True, "video": False}
        await self.ask(self.handle, janus="message", body=wanted, jsep=offer)
        answer = (await self.told("event", jsep=True))["jsep"]
        await self.connection.setRemoteDescription(
            RTCSessionDescription(sdp=answer["sdp"], type="answer")
        )
        self.alive = asyncio.create_task(self.stay())

    async def leave(self) -> None:
        """Go, and say so."""
        self.left.append(datetime.now(UTC))
        await self.ask(self.handle, janus="message", body={"request": "leave"})
        self.left.append(datetime.now(UTC))
        self.alive.cancel()
        await self.ask(f"/{self.session}", janus="destroy")
        await self.connection.close()

    async def stay(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE)
            await self.ask(f"/{self.session}", janus="keepalive")

    async def told(self, what: str, *, jsep: bool = False) -> dict[str, Any]:
        """Return the next event of that kind."""
        for _ in range(20):
            url = f"{self.api_url}/{self.session}?maxev=1&token={self.ticket['token']}"
            event = (await self.client.get(url)).json()
            data = event.get("plugindata", {}).get("data", {})
            if data.get("error"):
                raise RuntimeError(data["error"])
            if data.get("videoroom") == what and (not jsep or "jsep" in event):
                return event
        raise RuntimeError(f"no {what}")

    async def ask(self, path: str, **body: Any) -> dict[str, Any]:
        wanted = {**body, "transaction": secrets.token_hex(6), "token": self.ticket["token"]}
        answer = (await self.client.post(self.api_url + path, json=wanted)).json()
        if answer["janus"] == "error":
            raise RuntimeError(answer["error"]["reason"])
        return answer
