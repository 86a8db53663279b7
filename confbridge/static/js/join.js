// The join page: checks camera and microphone, then enters the conference on its bridge.
import Janus from "../dist/janus.es.js";
import { playTone, testLine } from "./linetest.js";

const page = document.getElementById("join");
const words = JSON.parse(page.dataset.words);
const part = (name) => page.querySelector(`[data-part="${name}"]`);
const CHECK_AGAIN = 5000; // milliseconds between two looks whether the room is open
const COME_BACK = 1500; // before trying again after the line broke
const PULSE = 5000; // between two words with the service while in the conference
const QUICK_PULSE = 1500; // the same while its bridge does not answer

let media = null; // what camera and microphone give; null before they were checked
let meter = null;
let line = null; // the connection to the bridge while in the conference
let wanted = false; // whether this site wants to be in
let entering = false; // a ticket has been asked for
let waiting = 0;
let heart = 0; // the timer of the pulse
let hand = false;
let movedFrom = ""; // where the conference was, if it has just moved away from a page elsewhere
let lastNotice = 0;
let packets = { lost: 0, got: 0 }; // of the last look

function tell(text, kind = "info") {
  const message = part("message");
  message.textContent = text;
  message.className = `notice ${kind}`;
  message.hidden = !text;
}

function show(name) {
  for (const step of ["check", "ready", "conference", "elsewhere", "left"]) part(step).hidden = step !== name;
  page.dataset.step = name;
}

// ---- camera and microphone

async function openMedia() {
  const video = { width: { ideal: 1280 }, height: { ideal: 720 } };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: true, video });
  } catch (error) {
    if (error.name !== "NotFoundError") throw error;
    // One of the two is missing: whoever has only a microphone can still take part.
    return navigator.mediaDevices.getUserMedia({ audio: true });
  }
}

function whyNot(error) {
  if (!navigator.mediaDevices) return words.insecure;
  return words[error.name] || words.otherMedia;
}

async function checkMedia() {
  try {
    if (!navigator.mediaDevices) throw new Error("no media devices");
    media = await openMedia();
  } catch (error) {
    tell(whyNot(error), "bad");
    return;
  }
  part("own").srcObject = media;
  watchLevel();
  tell(media.getVideoTracks().length ? "" : words.noCamera, "warn");
  show("ready");
}

function watchLevel() {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(media).connect(analyser);
  const samples = new Uint8Array(analyser.fftSize);
  meter = setInterval(() => {
    analyser.getByteTimeDomainData(samples);
    const loudest = samples.reduce((most, one) => Math.max(most, Math.abs(one - 128)), 0);
    part("level").value = loudest / 128;
  }, 100);
}

// ---- entering

async function askForTicket() {
  const form = part("guest");
  const body = form ? JSON.stringify(Object.fromEntries(new FormData(form))) : "{}";
  const answer = await fetch(page.dataset.ticket, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": page.dataset.csrf },
    body,
  });
  return answer.json();
}

async function enter() {
  if (line || entering) return; // a second click must not open a second line
  wanted = entering = true;
  clearTimeout(waiting);
  let ticket;
  try {
    ticket = await askForTicket();
  } catch {
    ticket = { door: "not_ready", text: words.noAnswer };
  } finally {
    entering = false;
  }
  if (!wanted) return;
  if (ticket.door === "open") {
    if (ticket.elsewhere) goElsewhere(ticket);
    else connect(ticket);
    return;
  }
  tell(ticket.text, ticket.door === "early" ? "info" : "warn");
  const isEnd = ["over", "cancelled"].includes(ticket.door);
  part("back").hidden = isEnd;
  show(isEnd ? "left" : "ready");
  if (isEnd) wanted = false;
  else if (["refused", "put_out"].includes(ticket.door)) wanted = false;
  else waiting = setTimeout(enter, ticket.door === "not_ready" ? COME_BACK : CHECK_AGAIN);
}

// ---- the pulse: what this site tells of itself, and where its conference is now

async function pulse() {
  clearTimeout(heart);
  const current = line;
  if (!current) return;
  let wait = PULSE;
  try {
    const answer = await fetch(page.dataset.pulse, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": page.dataset.csrf },
      body: JSON.stringify({ ...(await state(current)), notice: lastNotice }),
      signal: AbortSignal.timeout(PULSE),
    });
    if (line !== current) return;
    if (answer.ok) wait = obey(current, await answer.json());
  } catch {
    // The service is away for a moment: the conference goes on without it.
  }
  if (line === current) heart = setTimeout(pulse, wait);
}

async function state(current) {
  const live = (kind) => media.getTracks().some((track) => track.kind === kind && track.enabled);
  return { leg: current.leg, picture: live("video"), sound: live("audio"), hand, ...(await quality(current)) };
}

// The share of what was lost since the last look, and the time there and back, in seconds.
async function quality(current) {
  let lost = 0;
  let got = 0;
  let delay = null;
  for (const handle of [current.own, current.others?.handle]) {
    const connection = handle?.webrtcStuff?.pc;
    if (!connection) continue;
    for (const one of (await connection.getStats()).values()) {
      if (one.type === "inbound-rtp" || one.type === "remote-inbound-rtp") lost += Math.max(one.packetsLost || 0, 0);
      if (one.type === "inbound-rtp") got += one.packetsReceived || 0;
      if (one.type === "outbound-rtp") got += one.packetsSent || 0;
      if (one.type === "candidate-pair" && one.nominated && one.currentRoundTripTime !== undefined) delay = one.currentRoundTripTime;
    }
  }
  const since = { lost: Math.max(lost - packets.lost, 0), got: Math.max(got - packets.got, 0) };
  packets = { lost, got };
  const loss = since.lost + since.got ? since.lost / (since.lost + since.got) : null;
  return { loss, delay };
}

function obey(current, told) {
  for (const notice of told.notices) {
    lastNotice = Math.max(lastNotice, notice.id);
    showNotice(notice.text);
  }
  part("muted").hidden = !told.muted;
  // Of a guest of whom the bridge has not told yet, nothing is known, nor where it should be.
  if (told.open && told.room && told.room !== current.ticket.room) {
    moved(current.bridge); // the bridge was lost or is being emptied, and the meeting is elsewhere
  } else if (!told.open && !told.over) {
    tell(words.moving, "warn");
    current.troubled = true;
    return QUICK_PULSE;
  } else if (current.troubled) {
    tell("");
    current.troubled = false;
  }
  return PULSE;
}

function showNotice(text) {
  const notice = document.createElement("p");
  notice.className = "notice info";
  notice.textContent = text;
  part("notices").append(notice);
  setTimeout(() => notice.remove(), 60000);
}

function connect(ticket) {
  tell(words.connecting);
  const bridge = new Janus({
    server: ticket.url,
    token: ticket.token,
    iceServers: [],
    keepAlivePeriod: 5000, // well under the session time-out of any bridge, so that no line is cut
    destroyOnUnload: true,
    success: () => takePart(bridge, ticket),
    error: () => broken(bridge),
    destroyed: () => {},
  });
  line = { bridge, ticket, own: null, others: null, feeds: new Map(), privateId: 0, leg: "" };
  packets = { lost: 0, got: 0 };
}

function broken(bridge) {
  if (!line || line.bridge !== bridge) return;
  hangUp();
  if (wanted) {
    tell(words.broken, "warn");
    waiting = setTimeout(enter, COME_BACK);
  }
}

// The room is gone: the meeting is over, or goes on in another. The next ticket tells.
function moved(bridge) {
  if (line?.bridge !== bridge) return;
  hangUp();
  tell(words.connecting);
  waiting = setTimeout(enter, 300);
}

function hangUp() {
  const bridge = line?.bridge;
  line = null;
  clearTimeout(heart);
  part("grid").replaceChildren();
  count();
  if (bridge) bridge.destroy({ cleanupHandles: true, notifyDestroyed: false });
}

function takePart(bridge, ticket) {
  const soundAlone = ticket.kind === "audio";
  bridge.attach({
    plugin: soundAlone ? "janus.plugin.audiobridge" : "janus.plugin.videoroom",
    success: (handle) => {
      if (line?.bridge !== bridge) return;
      line.own = handle;
      const { room, pin, token, name } = ticket;
      const as = soundAlone ? {} : { ptype: "publisher" };
      handle.send({ message: { request: "join", ...as, room, pin, token, display: name } });
    },
    error: () => broken(bridge),
    onmessage: (message, jsep) => (soundAlone ? heardSound : heard)(bridge, message, jsep),
    onremotetrack: (track, mid, added) => soundAlone && playMix(track, added),
    oncleanup: () => broken(bridge), // pictures and sound were lost, though the line stands
  });
}

function heard(bridge, message, jsep) {
  if (!line || line.bridge !== bridge) return;
  if (message.error_code) return refused(bridge, message);
  if (message.videoroom === "joined") {
    line.privateId = message.private_id;
    line.leg = String(message.id);
    publish();
    heart = setTimeout(pulse, QUICK_PULSE);
  }
  if (message.videoroom === "destroyed") return moved(bridge);
  if (message.publishers) follow(message.publishers);
  if (message.unpublished && message.unpublished !== "ok") unfollow(message.unpublished);
  if (message.leaving && message.leaving !== "ok") unfollow(message.leaving);
  if (message.leaving === "ok" && message.reason === "kicked") ended(words.kicked);
  if (jsep) line.own.handleRemoteJsep({ jsep });
}

// ---- a conference of sound alone: the bridge mixes it, and sends one stream

function heardSound(bridge, message, jsep) {
  if (!line || line.bridge !== bridge) return;
  if (message.error_code) return broken(bridge);
  if (message.audiobridge === "destroyed") return moved(bridge);
  if (message.audiobridge === "joined" && message.id && !line.leg) {
    line.leg = String(message.id);
    publishSound();
    heart = setTimeout(pulse, QUICK_PULSE);
  }
  for (const one of message.participants || []) {
    if (String(one.id) === line.leg || line.feeds.has(one.id)) continue;
    line.feeds.set(one.id, { name: one.display || "?" });
    addTile(one.id, one.display || "?");
  }
  if (message.leaving) {
    line.feeds.delete(message.leaving);
    document.getElementById(`tile-${message.leaving}`)?.remove();
  }
  if (message.kicked && String(message.kicked) === line.leg) return ended(words.kicked);
  count();
  if (jsep) line.own.handleRemoteJsep({ jsep });
}

function publishSound() {
  const [capture] = media.getAudioTracks();
  line.own.createOffer({
    tracks: [{ type: "audio", capture, recv: true, dontStop: true }],
    success: (jsep) => {
      line.own.send({ message: { request: "configure", muted: false }, jsep });
      tell("");
      show("conference");
      part("self").srcObject = media;
      count();
    },
    error: () => broken(line.bridge),
  });
}

function playMix(track, added) {
  const mix = part("mix");
  mix.srcObject = added ? new MediaStream([track]) : null;
  if (added) mix.play().catch(() => {});
}

function refused(bridge, message) {
  if (message.error_code === 432) {
    hangUp();
    tell(words.full, "bad");
    waiting = setTimeout(enter, CHECK_AGAIN);
  } else {
    broken(bridge);
  }
}

function publish() {
  // dontStop: camera and microphone are ours, also after the line has been hung up.
  const tracks = media
    .getTracks()
    .map((track) => ({ type: track.kind, capture: track, recv: false, dontStop: true }));
  line.own.createOffer({
    tracks,
    success: (jsep) => {
      line.own.send({ message: { request: "configure", audio: true, video: true }, jsep });
      tell("");
      show("conference");
      part("self").srcObject = media;
      count();
    },
    error: () => broken(line.bridge),
  });
}

function ended(text = words.over) {
  wanted = false;
  hangUp();
  tell(text);
  show("left");
}

// ---- the others: one connection for all of them, changed as they come and go

function follow(publishers) {
  const streams = [];
  for (const publisher of publishers) {
    if (line.feeds.has(publisher.id)) continue;
    line.feeds.set(publisher.id, { name: publisher.display || "?" });
    addTile(publisher.id, publisher.display || "?");
    for (const stream of publisher.streams || []) {
      if (!stream.disabled) streams.push({ feed: publisher.id, mid: stream.mid });
    }
  }
  count();
  if (!streams.length) return;
  if (line.others?.ready) line.others.handle.send({ message: { request: "subscribe", streams } });
  else if (line.others) line.others.queue.push(...streams);
  else subscribe(streams);
}

function subscribe(streams) {
  const current = line;
  const others = { handle: null, ready: false, queue: [], tracks: new Map() };
  current.others = others;
  current.bridge.attach({
    plugin: "janus.plugin.videoroom",
    success: (handle) => {
      others.handle = handle;
      const { room, pin } = current.ticket;
      handle.send({
        message: { request: "join", ptype: "subscriber", room, pin, use_msid: false, private_id: current.privateId, streams },
      });
    },
    error: () => broken(current.bridge),
    onmessage: (message, jsep) => {
      if (message.error_code && !others.ready) return broken(current.bridge);
      for (const stream of message.streams || []) others.tracks.set(stream.mid, stream.feed_id);
      if (jsep) answerOffer(current, others, jsep);
    },
    onremotetrack: (track, mid, added) => hear(current, others.tracks.get(mid), track, added),
  });
}

function answerOffer(current, others, jsep) {
  others.handle.createAnswer({
    jsep,
    tracks: [],
    success: (answer) => {
      others.handle.send({ message: { request: "start", room: current.ticket.room }, jsep: answer });
      others.ready = true;
      const streams = others.queue.splice(0);
      if (streams.length) others.handle.send({ message: { request: "subscribe", streams } });
    },
    error: () => broken(current.bridge),
  });
}

function unfollow(feed) {
  if (!line.feeds.delete(feed)) return;
  document.getElementById(`tile-${feed}`)?.remove();
  if (line.others?.ready) {
    line.others.handle.send({ message: { request: "unsubscribe", streams: [{ feed }] } });
  }
  count();
}

function addTile(feed, name) {
  const tile = document.createElement("figure");
  tile.id = `tile-${feed}`;
  tile.className = "tile";
  const video = document.createElement("video");
  video.autoplay = true;
  video.playsInline = true;
  video.srcObject = new MediaStream();
  const caption = document.createElement("figcaption");
  caption.textContent = name;
  tile.append(video, caption);
  part("grid").append(tile);
}

function hear(current, feed, track, added) {
  if (line !== current || feed === undefined) return;
  const video = document.querySelector(`#tile-${CSS.escape(String(feed))} video`);
  if (!video) return;
  if (added) {
    if (!video.srcObject.getTracks().includes(track)) video.srcObject.addTrack(track);
    video.play().catch(() => {});
  } else if (track.readyState === "ended") {
    video.srcObject.removeTrack(track);
  }
}

function count() {
  const others = line ? line.feeds.size : 0;
  part("grid").dataset.others = String(others);
  part("count").textContent = others ? words.others.replace("{n}", others) : words.alone;
}

// ---- what the buttons do

function toggle(kind, button) {
  const tracks = media.getTracks().filter((track) => track.kind === kind);
  const on = !tracks[0]?.enabled;
  for (const track of tracks) track.enabled = on;
  button.setAttribute("aria-pressed", String(!on));
  button.textContent = on ? button.dataset.off : button.dataset.on;
  pulse();
}

part("check-button").addEventListener("click", checkMedia);
part("join-button").addEventListener("click", enter);
part("guest")?.addEventListener("submit", (event) => {
  event.preventDefault();
  enter();
});
part("mute").addEventListener("click", (event) => toggle("audio", event.currentTarget));
part("camera").addEventListener("click", (event) => toggle("video", event.currentTarget));
part("hand").addEventListener("click", (event) => {
  hand = !hand;
  event.currentTarget.setAttribute("aria-pressed", String(hand));
  event.currentTarget.textContent = hand ? event.currentTarget.dataset.on : event.currentTarget.dataset.off;
  pulse();
});
part("leave").addEventListener("click", () => {
  wanted = false;
  clearTimeout(waiting);
  hangUp();
  tell(words.left);
  show("left");
});
part("back").addEventListener("click", () => {
  show(media ? "ready" : "check");
  tell("");
});

// ---- a conference on a page of its own bridge: this one stays open, and says where it is

function goElsewhere(ticket) {
  const link = part("elsewhere-link");
  link.href = ticket.url || "#";
  link.hidden = !ticket.url;
  part("elsewhere-room").textContent = ticket.url ? "" : ticket.room;
  part("elsewhere-pin").textContent = ticket.pin;
  part("elsewhere-pin").parentElement.hidden = !ticket.pin;
  tell(movedFrom ? words.movedOn : "", "warn");
  movedFrom = "";
  show("elsewhere");
  clearTimeout(waiting);
  const look = async () => {
    try {
      const { ok, told } = await post(page.dataset.pulse, { notice: lastNotice });
      if (ok && told.open && told.room && told.room !== ticket.place) {
        movedFrom = ticket.place;
        wanted = true;
        return enter();
      }
      if (ok && told.over) return ended();
      for (const notice of (ok && told.notices) || []) {
        lastNotice = Math.max(lastNotice, notice.id);
        tell(notice.text);
      }
    } catch {
      // The service is away for a moment: the conference goes on without it.
    }
    waiting = setTimeout(look, PULSE);
  };
  waiting = setTimeout(look, PULSE);
}

// ---- the test of the line

async function post(address, body) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": page.dataset.csrf },
    body: JSON.stringify(body),
  });
  return { ok: answer.ok, told: await answer.json() };
}

async function testTheLine() {
  const button = part("test-button");
  button.disabled = true;
  const said = part("test-result");
  said.hidden = false;
  said.className = "notice info";
  said.textContent = words.testing;
  try {
    const { ok, told } = await post(page.dataset.test, {});
    if (!ok) throw new Error(told.text);
    part("loop").hidden = false;
    const found = await testLine(told, media, part("loop"));
    part("loop").hidden = true;
    part("heard").hidden = false;
    playTone();
    const loudspeaker = await heardTheTone();
    part("heard").hidden = true;
    const { looped, loss, delay, detail } = found;
    const result = {
      bridge: told.bridge,
      camera: media.getVideoTracks().length > 0,
      microphone: media.getAudioTracks().length > 0,
      loudspeaker,
      looped,
      loss,
      delay,
      detail,
    };
    await post(page.dataset.result, result);
    const percent = loss === null ? "–" : `${(loss * 100).toFixed(1)} %`;
    const time = delay === null ? "–" : `${Math.round(delay * 1000)} ms`;
    said.className = `notice ${looped && loudspeaker ? "good" : "bad"}`;
    said.textContent = (looped ? words.looped : words.notLooped).replace("{loss}", percent).replace("{delay}", time);
  } catch (error) {
    said.className = "notice bad";
    said.textContent = error.message || words.noAnswer;
  } finally {
    button.disabled = false;
    part("heard").hidden = part("loop").hidden = true;
  }
}

function heardTheTone() {
  return new Promise((resolve) => {
    part("heard-yes").onclick = () => resolve(true);
    part("heard-no").onclick = () => resolve(false);
    part("heard-again").onclick = playTone;
    part("heard-yes").focus();
  });
}

part("test-button")?.addEventListener("click", testTheLine);

Janus.init({ debug: false, dependencies: Janus.useDefaultDependencies({ adapter: window.adapter }) });
page.dataset.started = "true";
