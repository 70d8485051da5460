// Everything that a decision is bound to must have been on the screen, to its last line.
// Until then the approving button is disabled and shows how much is left, and where.
const LINE_PX = 22;
// Less than a line: the border of a frame.
const IGNORED_PX = 14;
const seenOf = new WeakMap();

const boundParts = () =>
  [...document.querySelectorAll("main [data-bound]")].filter((one) => one.getClientRects().length);
const windowTop = () => document.querySelector("header.top")?.getBoundingClientRect().bottom ?? 0;

function look() {
  const [top, bottom] = [windowTop(), innerHeight];
  for (const part of boundParts()) {
    const box = part.getBoundingClientRect();
    const from = Math.max(0, top - box.top);
    const to = Math.min(box.height, bottom - box.top);
    if (!document.hidden && to > from) note(known(part, box), from, to);
    else known(part, box);
  }
  tell();
}

// After a change of layout or content, a part counts as unseen again.
function known(part, box) {
  const found = seenOf.get(part);
  const isSame = found && found.text === part.textContent
    && Math.abs(found.width - box.width) < 1 && Math.abs(found.height - box.height) < 1;
  if (isSame) return found;
  const fresh = { width: box.width, height: box.height, text: part.textContent, spans: [] };
  seenOf.set(part, fresh);
  return fresh;
}

function note(found, from, to) {
  const apart = found.spans.filter(([a, b]) => b < from - 1 || a > to + 1);
  const joined = found.spans.filter(([a, b]) => b >= from - 1 && a <= to + 1);
  const all = [...joined, [from, to]];
  apart.push([Math.min(...all.map(([a]) => a)), Math.max(...all.map(([, b]) => b))]);
  found.spans = apart.sort(([a], [b]) => a - b);
}

// The ranges that were not on the screen yet, in window coordinates.
function unseen() {
  return boundParts().flatMap((part) => {
    const box = part.getBoundingClientRect();
    const left = [];
    let at = 0;
    for (const [from, to] of [...known(part, box).spans, [box.height, box.height]]) {
      if (from - at > IGNORED_PX) left.push([box.top + at, box.top + from]);
      at = Math.max(at, to);
    }
    return left;
  });
}

export function isSeen() {
  look();
  return unseen().length === 0;
}

function tell() {
  const left = unseen();
  for (const button of document.querySelectorAll("[data-needs-seen]")) {
    button.disabled = left.length > 0;
    button.dataset.ready = "";
  }
  for (const words of document.querySelectorAll("[data-unseen]")) {
    // Once shown, it keeps its place, so that no button moves under a finger.
    words.classList.toggle("is-read", left.length === 0);
    if (!left.length) continue;
    words.hidden = false;
    words.querySelector("[data-unseen-words]").textContent = howMuch(left);
  }
}

function howMuch(left) {
  const middle = innerHeight / 2;
  const above = left.filter(([, to]) => to <= middle);
  const below = left.filter(([, to]) => to > middle);
  const where = [[above, "above"], [below, "below"]]
    .filter(([some]) => some.length)
    .map(([some, side]) => `${lines(some)} ${side}`);
  return `Not seen yet: ${where.join(" and ")}.`;
}

function lines(stretches) {
  const height = stretches.reduce((sum, [from, to]) => sum + to - from, 0);
  const count = Math.max(1, Math.round(height / LINE_PX));
  return `${count} line${count === 1 ? "" : "s"}`;
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-read-on]")) return;
  const [first] = unseen();
  if (first) scrollBy({ top: first[0] - windowTop() - 2 * LINE_PX, behavior: "instant" });
});

let isAsked = false;
function soon() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    look();
  });
}
for (const sign of ["scroll", "resize", "load", "pageshow"]) addEventListener(sign, soon, { passive: true });
for (const sign of ["visibilitychange", "toggle", "htmx:after:swap"]) document.addEventListener(sign, soon, true);
new ResizeObserver(soon).observe(document.body);

// A panel taller than the window moves up with the page until its end shows.
const panels = new ResizeObserver((found) => {
  for (const { target } of found) target.style.setProperty("--tall", `${target.offsetHeight}px`);
});
for (const panel of document.querySelectorAll(".item-side > .decide")) panels.observe(panel);
soon();
