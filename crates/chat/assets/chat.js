// The demo chat. What it says to the server and hears from it is in PROTOCOL.md.
// Text of other people only ever gets into the page through textContent.

const MAX_PICTURE = 5 * 1024 * 1024;
const CHUNK = 64 * 1024;
const CHUNKS_IN_FLIGHT = 4;
const PICTURE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];
const TYPING_EVERY = 2000;
const TYPING_FORGOTTEN = 5000;
const MESSAGES_SHOWN = 300;
/** What one person says within this time is shown together. */
const PAUSE = 5 * 60 * 1000;
const PATIENCE = 15000;

const $ = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);
const path = document.querySelector("meta[name=socket-path]").content;
const { connect } = await import(new URL(`${path}sockeye.js`, location.href));

const transport = parameters.get("transport");
const socket = connect("/", {
  path,
  autoConnect: false,
  reconnectionDelay: 500,
  reconnectionDelayMax: 3000,
  ...(transport && { transports: [transport] }),
});

let name = parameters.get("name") ?? recall("name");
/** The room on show; undefined until the server has let us in. */
let room;
/** Whether this connection is in a room. */
let isIn = false;
/** Keys of the messages on show, so that a reconnection adds only what was missed. */
let shown = new Set();
let boot;
/** Messages that come while the server's answer to `join` is on its way. */
let early;
/** Who we are in this chat; a reconnection makes us another. */
let me;
/** All that we have been since the server was started. */
const myIds = new Set();

// ---- Connection ----

socket.on("connect", enter);
socket.on("disconnect", () => {
  isIn = false;
  setStatus("offline", socket.active ? "Reconnecting…" : "Disconnected");
});
socket.on("connect_error", () => setStatus("offline", socket.active ? "No connection, trying again…" : "No connection"));

function connectAs(someone) {
  name = someone;
  if (socket.connected) return enter();
  setStatus("connecting", "Connecting…");
  socket.connect();
}

function setStatus(state, text) {
  $("status").dataset.state = state;
  $("status").textContent = text;
  $("send").disabled = $("picture").disabled = state !== "online";
}

/** Asks the server and answers what it says; a refusal is thrown. */
async function ask(event, ...args) {
  const answer = await socket.timeout(PATIENCE).emitWithAck(event, ...args);
  if (answer.error) throw new Error(answer.error);
  return answer;
}

/** Enters the room that the page's URL names. */
async function enter() {
  if (!socket.connected) return;
  const wanted = wantedRoom();
  early = [];
  try {
    const joined = await ask("join", { name, room: wanted });
    // Somebody clicked on before the answer came.
    if (wanted !== wantedRoom()) return;
    const isNew = joined.room !== room;
    if (isNew) clearMessages();
    if (joined.boot !== boot) myIds.clear();
    room = joined.room;
    boot = joined.boot;
    me = joined.id;
    myIds.add(me);
    name = joined.name;
    keep("name", name);
    isIn = true;
    setStatus("online", socket.transport === "polling" ? "Online (polling)" : "Online");
    $("title").replaceChildren("# ", isolated(room));
    document.title = `${room.replace(BIDI, "")} · Sockeye chat`;
    typists.clear();
    showTypists();
    showPeople(joined.people);
    showRooms(joined.rooms);
    const missed = early;
    early = undefined;
    [...joined.messages, ...missed].forEach(showMessage);
    showEmpty(joined.people);
    showError();
    if (isNew && !$("welcome").open) $("text").focus();
  } catch (error) {
    const missed = early ?? [];
    early = undefined;
    missed.forEach(showMessage);
    showError(error.message);
    if (socket.connected && !isIn) setStatus("offline", "Not in a room");
    if (room && socket.connected && wanted !== room) location.hash = encodeURIComponent(room);
  }
}

// ---- Rooms and people ----

socket.on("rooms", showRooms);
socket.on("people", showPeople);
addEventListener("hashchange", enter);

function wantedRoom() {
  try {
    return decodeURIComponent(location.hash.slice(1)).trim() || "lobby";
  } catch {
    return "lobby";
  }
}

function showRooms(rooms) {
  $("rooms").replaceChildren(
    ...rooms.map(({ name, people }) => {
      const link = element("a", { href: `#${encodeURIComponent(name)}` }, isolated(name));
      link.append(element("span", { ariaLabel: `${people} here` }, people || ""));
      if (name === room) link.setAttribute("aria-current", "page");
      return element("li", {}, link);
    }),
  );
}

function showPeople(people) {
  $("count").textContent = `(${people.length})`;
  $("people").replaceChildren(
    ...people.map((person) => {
      const item = element("li", {}, element("span", {}, isolated(person.name), person.id === me ? " (you)" : ""));
      item.style.setProperty("--hue", hue(person.name));
      return item;
    }),
  );
  showEmpty(people);
  for (const id of typists.keys()) if (!people.some((person) => person.id === id)) typists.delete(id);
  showTypists();
}

$("new-room").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = $("room-name").value.trim();
  if (wanted) location.hash = encodeURIComponent(wanted);
  $("room-name").value = "";
  openSide(false);
});

function openSide(open) {
  document.body.classList.toggle("side-open", open);
  $("menu").setAttribute("aria-expanded", String(open));
}
$("menu").addEventListener("click", () => openSide(!document.body.classList.contains("side-open")));
$("rooms").addEventListener("click", () => openSide(false));
$("messages").addEventListener("click", () => openSide(false));
addEventListener("keydown", (event) => event.key === "Escape" && openSide(false));

// ---- Messages ----

socket.on("message", showMessage);

function showMessage(message) {
  if (early) return early.push(message);
  const key = `${boot} ${message.id}`;
  if (message.room !== room || shown.has(key)) return;
  shown.add(key);
  typists.delete(message.from.id);
  showTypists();

  const time = new Date(message.time);
  const clock = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const author = element("b", {}, isolated(message.from.name));
  author.style.setProperty("--hue", hue(message.from.name));
  const stamp = element("time", { dateTime: time.toISOString(), title: time.toLocaleString() }, clock);
  const head = element("header", {}, author, stamp);
  const body = message.picture ? showPicture(message.picture) : element("p", {}, ...withLinks(message.text));
  const item = element("li", { className: "message" }, head, body);
  item.classList.toggle("mine", myIds.has(message.from.id));
  if (follows(message, latest)) {
    item.classList.add("follows");
    item.title = stamp.title;
  }
  latest = message;
  append(item);
  $("empty").hidden = true;
}

/** The message that was shown last. */
let latest;

/** Whether a message goes on with what somebody was saying, so that nobody has to be told again who it is. */
function follows(message, before) {
  return (
    before !== undefined &&
    before.from.id === message.from.id &&
    before.from.name === message.from.name &&
    message.time - before.time < PAUSE
  );
}

function showEmpty(people) {
  const alone = people.length < 2 ? " Nobody else is here: open this page in another tab, or send somebody its address." : "";
  $("empty").textContent = `Nothing has been said here yet.${alone}`;
  $("empty").hidden = !room || $("messages").childElementCount > 0;
}

/** A text in parts: addresses of pages are links, and everything else stays text. */
function withLinks(text) {
  return text.split(ADDRESS).map((part, index) => {
    // What the pattern has found is every second part.
    const url = index % 2 ? URL.parse?.(part) : null;
    const isPlain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password;
    return isPlain ? element("a", { href: url.href, target: "_blank", rel: "noopener" }, part) : part;
  });
}

/** What turns the direction of text. In an address it could make it look like another. */
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** An address, without the punctuation behind it. */
const ADDRESS = /(\bhttps?:\/\/[^\s<>"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]*[^\s<>"'.,:;!?)\]}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])/iu;

/** A name within a text: whatever marks are in it, what stands around it keeps its direction. */
function isolated(name) {
  return element("bdi", {}, name);
}

/** Adds to the list and follows it, unless its reader has scrolled up. */
function append(item) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  list.append(item);
  if (list.childElementCount > MESSAGES_SHOWN) release(list.firstElementChild);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function clearMessages() {
  shown = new Set();
  latest = undefined;
  for (const item of [...$("messages").children]) release(item);
}

function release(item) {
  for (const image of item.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  item.remove();
}

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || $("send").disabled) return;
  $("text").value = "";
  tellTyping(false);
  try {
    await ask("message", text);
    showError();
  } catch (error) {
    $("text").value ||= text;
    showError(`Not sent: ${error.message}`);
  }
});

$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

// ---- Who is typing ----

const typists = new Map();
let toldTyping = 0;

socket.on("typing", ({ id, name, typing }) => {
  clearTimeout(typists.get(id)?.timer);
  typists.delete(id);
  if (typing) {
    const timer = setTimeout(() => {
      typists.delete(id);
      showTypists();
    }, TYPING_FORGOTTEN);
    typists.set(id, { name, timer });
  }
  showTypists();
});

$("text").addEventListener("input", () => tellTyping($("text").value !== ""));

function tellTyping(typing) {
  if (typing ? Date.now() - toldTyping < TYPING_EVERY : !toldTyping) return;
  toldTyping = typing ? Date.now() : 0;
  socket.volatile.emit("typing", typing);
}

function showTypists() {
  const names = [...typists.values()].map((typist) => isolated(typist.name));
  const [first, second] = names;
  const who = {
    0: [],
    1: [first, " is typing…"],
    2: [first, " and ", second, " are typing…"],
  }[names.length] ?? ["Several people are typing…"];
  $("typing").replaceChildren(...who);
}

// ---- Pictures ----

function showPicture({ id, name, type }) {
  const frame = element("p", {}, "Loading the picture…");
  load().catch((error) => (frame.textContent = `The picture cannot be shown: ${error.message}`));
  return frame;

  async function load() {
    const { data } = await ask("picture", id);
    if (!PICTURE_TYPES.includes(type)) throw new Error("unknown type");
    const image = element("img", { alt: name || "Picture" });
    image.src = URL.createObjectURL(new Blob([data], { type }));
    await image.decode();
    const list = $("messages");
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
    frame.replaceChildren(image);
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}

let uploading = false;

async function upload(file) {
  if (uploading || $("picture").disabled) return;
  if (!PICTURE_TYPES.includes(file.type)) return showError("Only PNG, JPEG, GIF, WebP and AVIF pictures can be sent.");
  if (file.size > MAX_PICTURE) return showError("A picture may have 5 MB at most.");
  uploading = true;
  showError();
  $("upload-name").textContent = file.name;
  showProgress(0);
  $("upload").hidden = false;
  try {
    const { upload } = await ask("upload-start", {
      name: [...file.name].slice(0, 100).join(""),
      type: file.type,
      size: file.size,
    });
    // A few chunks travel at a time, so that a distant server does not slow it down.
    const flying = [];
    for (let offset = 0; offset < file.size; offset += CHUNK) {
      const chunk = await file.slice(offset, offset + CHUNK).arrayBuffer();
      const landed = ask("upload-chunk", upload, offset, chunk);
      landed.then(({ received }) => showProgress(received / file.size)).catch(() => {});
      flying.push(landed);
      if (flying.length === CHUNKS_IN_FLIGHT) await flying.shift();
    }
    await Promise.all(flying);
  } catch (error) {
    showError(`The picture was not sent: ${error.message}`);
  } finally {
    uploading = false;
    $("upload").hidden = true;
  }
}

function showProgress(part) {
  $("progress").value = part;
  $("percent").textContent = `${Math.round(part * 100)} %`;
}

$("picture").addEventListener("change", () => {
  const [file] = $("picture").files;
  if (file) upload(file);
  $("picture").value = "";
});

addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((file) => PICTURE_TYPES.includes(file.type));
  if (!file) return;
  event.preventDefault();
  upload(file);
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const [file] = event.dataTransfer.files;
  if (file) upload(file);
});

// ---- One's own name ----

$("rename").addEventListener("click", askName);

function askName() {
  $("name").value = name ?? "";
  $("welcome").showModal();
}

$("welcome").addEventListener("close", () => {
  openSide(false);
  connectAs($("name").value.trim() || name || "Guest");
  if (isIn) $("text").focus();
});

if (name) connectAs(name);
else askName();

// ---- Small things ----

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function showError(text = "") {
  $("error").textContent = text;
  $("error").hidden = !text;
}

/** The same colour for the same name on every screen. */
function hue(name) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) % 360;
  return hash;
}

// Storage may be forbidden; the chat works without it.
function recall(key) {
  try {
    return localStorage.getItem(`sockeye-chat-${key}`);
  } catch {
    return null;
  }
}

function keep(key, value) {
  try {
    localStorage.setItem(`sockeye-chat-${key}`, value);
  } catch {
    // Then it is asked for again next time.
  }
}
