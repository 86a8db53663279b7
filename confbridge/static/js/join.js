// The join page: checks camera and microphone, then enters the conference on its bridge.
import Janus from "../dist/janus.es.js";

const page = document.getElementById("join");
const words = JSON.parse(page.dataset.words);
const part = (name) => page.querySelector(`[data-part="${name}"]`);
const CHECK_AGAIN = 5000; // milliseconds between two looks whether the room is open
const COME_BACK = 3000; // before trying again after the line broke

let media = null; // what camera and microphone give; null before they were checked
let meter = null;
let line = null; // the connection to the bridge while in the conference
let wanted = false; // whether this site wants to be in
let entering = false; // a ticket has been asked for
let waiting = 0;

function tell(text, kind = "info") {
  const message = part("message");
  message.textContent = text;
  message.className = `notice ${kind}`;
  message.hidden = !text;
}

function show(name) {
  for (const step of ["check", "ready", "conference", "left"]) part(step).hidden = step !== name;
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
    connect(ticket);
    return;
  }
  tell(ticket.text, ticket.door === "early" ? "info" : "warn");
  const isEnd = ["over", "cancelled"].includes(ticket.door);
  part("back").hidden = isEnd;
  show(isEnd ? "left" : "ready");
  if (isEnd) wanted = false;
  else if (ticket.door === "refused") wanted = false;
  else waiting = setTimeout(enter, CHECK_AGAIN);
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
  line = { bridge, ticket, own: null, others: null, feeds: new Map(), privateId: 0 };
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
  waiting = setTimeout(enter, 1000);
}

function hangUp() {
  const bridge = line?.bridge;
  line = null;
  part("grid").replaceChildren();
  count();
  if (bridge) bridge.destroy({ cleanupHandles: true, notifyDestroyed: false });
}

function takePart(bridge, ticket) {
  bridge.attach({
    plugin: "janus.plugin.videoroom",
    success: (handle) => {
      if (line?.bridge !== bridge) return;
      line.own = handle;
      const { room, pin, token, name } = ticket;
      handle.send({ message: { request: "join", ptype: "publisher", room, pin, token, display: name } });
    },
    error: () => broken(bridge),
    onmessage: (message, jsep) => heard(bridge, message, jsep),
    oncleanup: () => broken(bridge), // pictures and sound were lost, though the line stands
  });
}

function heard(bridge, message, jsep) {
  if (!line || line.bridge !== bridge) return;
  if (message.error_code) return refused(bridge, message);
  if (message.videoroom === "joined") {
    line.privateId = message.private_id;
    publish();
  }
  if (message.videoroom === "destroyed") return moved(bridge);
  if (message.publishers) follow(message.publishers);
  if (message.unpublished && message.unpublished !== "ok") unfollow(message.unpublished);
  if (message.leaving && message.leaving !== "ok") unfollow(message.leaving);
  if (message.leaving === "ok" && message.reason === "kicked") ended(words.kicked);
  if (jsep) line.own.handleRemoteJsep({ jsep });
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
}

part("check-button").addEventListener("click", checkMedia);
part("join-button").addEventListener("click", enter);
part("guest")?.addEventListener("submit", (event) => {
  event.preventDefault();
  enter();
});
part("mute").addEventListener("click", (event) => toggle("audio", event.currentTarget));
part("camera").addEventListener("click", (event) => toggle("video", event.currentTarget));
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

Janus.init({ debug: false, dependencies: Janus.useDefaultDependencies({ adapter: window.adapter }) });
page.dataset.started = "true";
