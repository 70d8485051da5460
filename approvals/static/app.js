// What the pages need beyond htmx. No key and no link in a text submits a decision.
import { tinykeys } from "/static/vendor/tinykeys.module.js";
import "/static/kept.js";
import { isSeen } from "/static/seen.js";

// A decision meant for the previous item must not reach this one: within this time after
// the item came into view, no deciding form is sent and no key is handled.
const SETTLE_MS = 700;
const KEY_MS = 500;
const itemHere = () => document.querySelector("[data-item]")?.dataset.item ?? "";
let item = itemHere();
let shownAt = performance.now();
let focusedAt = performance.now();
function begin() {
  shownAt = focusedAt = performance.now();
}
addEventListener("pageshow", () => {
  begin();
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) begin();
});
addEventListener("focus", (event) => {
  if (event.target === window) focusedAt = performance.now();
});
// The time starts again when another item is shown on this page.
new MutationObserver(() => {
  if (itemHere() === item) return;
  item = itemHere();
  begin();
}).observe(document.body, {
  subtree: true, childList: true, attributes: true, attributeFilter: ["data-item"],
});

// A key counts only for an item that has been in view long enough.
function isHeard(event) {
  return !event.repeat && itemHere() === item && performance.now() - focusedAt >= KEY_MS;
}

// The focused element, since when, and its item: Enter on a button must mean that button.
let pointed = { on: null, at: 0, item: "" };
document.addEventListener("focusin", (event) => {
  const { target } = event;
  pointed = { on: target, at: performance.now(), item: itemOf(target) };
});
function itemOf(node) {
  return node.closest("[data-item], [data-row]")?.getAttribute("data-row") ?? itemHere();
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" && event.key !== " ") return;
  const row = event.target.closest("a[data-row]");
  if (row) {
    // The list may have moved since the focus: then the key opens nothing.
    if (pointed.on === row && pointed.item !== itemOf(row)) event.preventDefault();
    return;
  }
  const form = event.target.closest("form[data-decide]");
  if (!form || event.target.closest("textarea, select, summary")) return;
  const isButton = event.target.matches("button");
  const isFresh = performance.now() - pointed.at < KEY_MS || !isHeard(event);
  // Enter in a field would press the form's button: a decision is pressed on its button.
  if (isButton ? isFresh : event.key === "Enter") event.preventDefault();
}, true);

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-decide]")) return;
  const isOurs = !form.dataset.of || form.dataset.of === itemHere();
  if (form.dataset.sent || !isOurs) {
    event.preventDefault();
    return;
  }
  // Discarding an edit does not require reading it.
  const givesUp = event.submitter?.matches("[data-gives-up]");
  if (form.querySelector("[data-needs-seen]") && !givesUp && !isSeen()) {
    event.preventDefault();
    toast("Not sent: part of what you would approve was not on your screen yet. Read it first.");
    return;
  }
  if (performance.now() - shownAt < SETTLE_MS) {
    event.preventDefault();
    toast("Not sent: this page has only just opened. Read it, then press again.");
    return;
  }
  form.dataset.sent = "yes";
}, true);

// Times in the viewer's zone; times from now, kept current.
const zoned = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
});
const ofDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const UNITS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 0, ""]];

function span(seconds) {
  for (const [size, unit, lower, lowerUnit] of UNITS) {
    if (seconds < size) continue;
    const more = lower ? Math.floor((seconds % size) / lower) : 0;
    return `${Math.floor(seconds / size)} ${unit}${more ? ` ${more} ${lowerUnit}` : ""}`;
  }
  return `${Math.floor(seconds)} s`;
}

function tellTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-when]")) {
    const at = new Date(time.dateTime);
    time.textContent = zoned.format(at);
    time.title = `${time.dateTime.replace("T", " ").slice(0, 19)} UTC`;
  }
  for (const time of root.querySelectorAll("time[data-clock]")) {
    time.textContent = ofDay.format(new Date(time.dateTime));
    time.title = zoned.format(new Date(time.dateTime));
  }
  for (const time of root.querySelectorAll("time[data-relative]")) {
    const left = (new Date(time.dateTime) - Date.now()) / 1000;
    time.textContent = left > 0 ? `in ${span(left)}` : `${span(-left)} ago`;
    time.title = zoned.format(new Date(time.dateTime));
  }
}
tellTimes();
setInterval(tellTimes, 1000);
document.addEventListener("htmx:after:swap", () => tellTimes());

// A claim means that somebody is present: an idle page does not renew it.
const LEFT_MS = 600_000;
let touchedAt = Date.now();
for (const sign of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
  addEventListener(sign, () => { touchedAt = Date.now(); }, { passive: true, capture: true });
}
document.addEventListener("htmx:before:request", (event) => {
  if (event.target.matches("[data-present]") && Date.now() - touchedAt > LEFT_MS) event.preventDefault();
});

// Lists in forms: an added item gets a key of its own in all its names.
let added = 0;
document.addEventListener("click", (event) => {
  const add = event.target.closest("[data-add]");
  if (add) {
    const list = add.closest("[data-list]");
    added += 1;
    const html = list.querySelector(":scope > template").innerHTML
      .replaceAll(list.dataset.blankKey, `new${added}`);
    const items = list.querySelector(":scope > [data-items]");
    const holder = document.createElement("template");
    holder.innerHTML = html;
    items.append(holder.content);
    items.lastElementChild.querySelector("input:not([type=hidden]), select, textarea")?.focus();
    list.dispatchEvent(new Event("change", { bubbles: true }));
  }
  const remove = event.target.closest("[data-remove]");
  if (remove) {
    const list = remove.closest("[data-list]");
    remove.closest(".list-item").remove();
    list.querySelector(":scope > [data-add]").focus();
    list.dispatchEvent(new Event("change", { bubbles: true }));
  }
});

// Text fields show their length.
document.addEventListener("input", (event) => {
  const area = event.target.closest("[data-counted]");
  const counter = area?.parentElement.querySelector("[data-counter]");
  if (!counter) return;
  const longest = Number(area.dataset.longest || 0);
  const length = [...area.value].length;
  counter.textContent = `${length}${longest ? ` of ${longest}` : ""} characters`;
  counter.classList.toggle("over", Boolean(longest) && length > longest);
});

// Filters apply at once; a switch's form shows only what its mode needs.
document.addEventListener("change", (event) => {
  event.target.closest("form[data-autosubmit]")?.requestSubmit();
});

// A link that opens the panel it points to.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-open]");
  if (link) {
    // Following its fragment would take the focus away from the opened panel.
    event.preventDefault();
    open(link.dataset.open);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

function open(selector) {
  const details = document.querySelector(selector);
  if (!details) return;
  details.open = true;
  details.scrollIntoView({ block: "nearest" });
  details.querySelector("input:not([type=hidden]), select, textarea")?.focus();
}

// An opened panel is scrolled into view, because its button is at its end.
document.addEventListener("toggle", (event) => {
  if (event.target.matches(".answer[open]")) event.target.scrollIntoView({ block: "nearest" });
}, true);

// A refused form starts at the first field that has to be corrected.
const misfit = document.querySelector("main [aria-invalid='true']");
if (misfit) misfit.focus();
else document.querySelector("main form .notice.bad[role=alert]")?.scrollIntoView({ block: "center" });
document.addEventListener("input", (event) => {
  const field = event.target.closest("[data-invalid]");
  if (!field) return;
  delete field.dataset.invalid;
  for (const told of field.querySelectorAll(":scope > .field-body > .error")) told.remove();
  for (const one of field.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
});

function isTyping(event) {
  return event.target.closest("input, textarea, select, [contenteditable]") !== null;
}

// Moves the focus along the queue, from link to link.
function move(step) {
  const rows = [...document.querySelectorAll("[data-queue] a.queue-row")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step;
  rows[Math.max(0, Math.min(rows.length - 1, next))].focus();
}

const key = (run) => (event) => {
  if (isTyping(event)) return;
  event.preventDefault();
  run(event);
};
// The button that approves: with an open edit, only the one of the edit.
function approves() {
  const buttons = [...document.querySelectorAll("#approve-edited:enabled, #approve:enabled, .decide [data-unseen]:not([hidden], .is-read) [data-read-on]")];
  return buttons.find((one) => one.offsetParent !== null);
}
const itemKey = (run) => key((event) => {
  if (isHeard(event)) run();
});
tinykeys(window, {
  j: key(() => move(1)),
  k: key(() => move(-1)),
  a: itemKey(() => approves()?.focus()),
  c: itemKey(() => open("#change")),
  e: itemKey(() => open("#edit")),
  r: itemKey(() => open("#reject")),
  n: itemKey(() => document.querySelector("#next")?.click()),
  Escape: () => {
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
  },
});

// Notifications in this browser, if a person turned them on. They name only the tool.
// Nothing depends on them.
const notifyButton = document.querySelector("[data-notify]");
function wantsNotices() {
  try { return localStorage.getItem("notify") === "on"; } catch { return false; }
}
function showNotifyState() {
  const isOn = wantsNotices() && Notification.permission === "granted";
  notifyButton.hidden = false;
  notifyButton.setAttribute("aria-pressed", String(isOn));
  notifyButton.textContent = isOn ? "Notifying in this browser" : "Notify me in this browser";
}
async function toggleNotices() {
  const isOn = wantsNotices() && Notification.permission === "granted";
  if (!isOn && await Notification.requestPermission() !== "granted") {
    toast("This browser blocks notifications of this site: allow them in its settings.");
    return;
  }
  try { localStorage.setItem("notify", isOn ? "off" : "on"); } catch { /* for this page only */ }
  showNotifyState();
}
const mineNow = () => [...document.querySelectorAll("[data-queue] a[data-may]")];
const keysOf = (row) => [row.dataset.row, ...(row.matches(".urgent") ? [`${row.dataset.row} soon`] : [])];
let known = new Set(mineNow().flatMap(keysOf));
function tellOfNew() {
  const rows = mineNow();
  const isAway = document.hidden || !document.hasFocus();
  for (const row of rows) {
    const [id, soon] = keysOf(row);
    if (isAway && !known.has(id)) notify(row, "waits for a decision");
    else if (isAway && soon && !known.has(soon)) notify(row, "expires soon");
  }
  known = new Set(rows.flatMap(keysOf));
}
function notify(row, words) {
  if (!wantsNotices() || Notification.permission !== "granted") return;
  const { row: id, tool } = row.dataset;
  const note = new Notification(`${tool} ${words}`, { body: "Keyturn", tag: id, icon: "/static/icon.svg" });
  note.onclick = () => {
    window.focus();
    location.assign(`/inbox/${encodeURIComponent(id)}`);
  };
}
if (notifyButton && "Notification" in window) {
  showNotifyState();
  notifyButton.addEventListener("click", toggleNotices);
  document.addEventListener("htmx:after:swap", tellOfNew);
}

// Failed requests are reported to the person.
function toast(words) {
  const place = document.querySelector("#toasts");
  if (!place) return;
  const note = document.createElement("p");
  note.className = "toast-note";
  note.textContent = words;
  place.replaceChildren(note);
  setTimeout(() => note.remove(), 8000);
}
// A refused stream reconnects by itself, each time after a longer delay.
const NOT_LIVE = "This page does not update by itself, because too many pages are open. Close some, then reload it.";
document.addEventListener("htmx:sse:error", (event) => {
  if (event.detail.status === 429) toast(NOT_LIVE);
});
document.addEventListener("htmx:error", () => toast("The server cannot be reached. What you see may be old; nothing of yours was sent."));
document.addEventListener("htmx:response:error", (event) => {
  const status = event.detail.ctx.response.status;
  if (status === 429 && event.target.id === "live") toast(NOT_LIVE);
  else if (status === 429) toast("Too many requests at once. Nothing was changed; try again in a moment.");
  if (status >= 500) toast("The server could not answer. Nothing was changed; try again in a moment.");
});
