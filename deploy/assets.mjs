// Lays what npm brought where the service serves it from. Nothing is bundled or rewritten.
import { copyFileSync, mkdirSync, rmSync } from "node:fs";

const from = "node_modules";
const to = "confbridge/static/dist";
const files = {
  "htmx.org/dist/htmx.min.js": "htmx.min.js",
  "janus-gateway/npm/dist/janus.es.js": "janus.es.js",
  "webrtc-adapter/out/adapter.js": "adapter.js",
};

rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });
for (const [source, name] of Object.entries(files)) {
  copyFileSync(`${from}/${source}`, `${to}/${name}`);
}
