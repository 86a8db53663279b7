// The test of a line: this site's own pictures and sound, through a bridge and back.
import Janus from "../dist/janus.es.js";

const LASTS = 5000; // milliseconds for which what comes back is counted
const PATIENCE = 15000; // until it must have come back

// Sends `media` to the bridge of `ticket` and returns what came back:
// {looped, loss, delay, frames}. Never throws: a line that does not work is a result, too.
export function testLine(ticket, media, video) {
  return new Promise((resolve) => {
    const nothing = { looped: false, loss: null, delay: null, frames: 0, detail: "" };
    let own = null;
    let back = null;
    let done = false;
    const finish = (found) => {
      if (done) return;
      done = true;
      clearTimeout(late);
      bridge.destroy({ cleanupHandles: true, notifyDestroyed: false });
      resolve({ ...nothing, ...found });
    };
    const late = setTimeout(() => finish({ detail: "timeout" }), PATIENCE);
    const fail = (why) => finish({ detail: String(why || "failed").slice(0, 200) });
    const bridge = new Janus({
      server: ticket.url,
      token: ticket.token,
      iceServers: [],
      success: send,
      error: fail,
      destroyed: () => {},
    });

    function send() {
      bridge.attach({
        plugin: "janus.plugin.videoroom",
        success: (handle) => {
          own = handle;
          const { room, pin, token } = ticket;
          handle.send({ message: { request: "join", ptype: "publisher", room, pin, token } });
        },
        error: fail,
        webrtcState: (up) => up && receive(),
        onmessage: (message, jsep) => {
          if (message.error_code) return fail(message.error);
          if (message.videoroom === "joined") publish(message);
          if (jsep) own.handleRemoteJsep({ jsep });
        },
      });
    }

    function publish(message) {
      own.me = message;
      const tracks = media
        .getTracks()
        .map((track) => ({ type: track.kind, capture: track, recv: false, dontStop: true }));
      own.createOffer({
        tracks,
        success: (jsep) => own.send({ message: { request: "configure", audio: true, video: true }, jsep }),
        error: fail,
      });
    }

    function receive() {
      if (back) return;
      bridge.attach({
        plugin: "janus.plugin.videoroom",
        success: (handle) => {
          back = handle;
          const { room, pin } = ticket;
          const streams = [{ feed: own.me.id }];
          handle.send({
            message: { request: "join", ptype: "subscriber", room, pin, use_msid: false, private_id: own.me.private_id, streams },
          });
        },
        error: fail,
        onmessage: (message, jsep) => {
          if (message.error_code) return fail(message.error);
          if (!jsep) return;
          back.createAnswer({
            jsep,
            tracks: [],
            success: (answer) => back.send({ message: { request: "start", room: ticket.room }, jsep: answer }),
            error: fail,
          });
        },
        webrtcState: (up) => up && setTimeout(() => count().then(finish, fail), LASTS),
        onremotetrack: (track, mid, added) => {
          if (!added || track.kind !== "video") return;
          video.srcObject = new MediaStream([track]);
          video.play().catch(() => {});
        },
      });
    }

    async function count() {
      let lost = 0;
      let got = 0;
      let frames = 0;
      let delay = null;
      for (const connection of [own.webrtcStuff.pc, back.webrtcStuff.pc]) {
        for (const one of (await connection.getStats()).values()) {
          if (one.type === "inbound-rtp") {
            got += one.packetsReceived || 0;
            lost += Math.max(one.packetsLost || 0, 0);
            frames += one.framesDecoded || 0;
          }
          if (one.type === "remote-inbound-rtp") lost += Math.max(one.packetsLost || 0, 0);
          if (one.type === "candidate-pair" && one.nominated && one.currentRoundTripTime !== undefined) {
            delay = Math.max(delay || 0, one.currentRoundTripTime);
          }
        }
      }
      const hasVideo = media.getVideoTracks().length > 0;
      return { looped: got > 0 && (!hasVideo || frames > 0), loss: got + lost ? lost / (got + lost) : null, delay, frames };
    }
  });
}

// Plays a tone for a moment, so that somebody can say whether it was heard.
export function playTone() {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const volume = context.createGain();
  volume.gain.value = 0.2;
  tone.frequency.value = 660;
  tone.connect(volume).connect(context.destination);
  tone.start();
  tone.stop(context.currentTime + 1);
  tone.onended = () => context.close();
}
