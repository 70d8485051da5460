// Text that could not be sent is not lost. A sent form is stored in this tab until the
// server confirms that it was carried out; otherwise its page fills it in again.
const STORE = "keyturn.sent";
const MOST = 10;
const JUST_MS = 60_000;
const LONGEST_MS = 12 * 3600_000;

function kept() {
  try {
    const found = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
    return found.filter((one) => Date.now() - one.at < LONGEST_MS);
  } catch { return []; }
}
function keep(all) {
  try { sessionStorage.setItem(STORE, JSON.stringify(all.slice(-MOST))); } catch { /* no room */ }
}
const actionOf = (form) => new URL(form.getAttribute("action") ?? "", location.href).pathname;
const keyOf = (form) => form.querySelector("input[type=hidden][name=form_key]");

function written(form) {
  const wanted = "input:not([type=hidden], [type=password], [type=submit]), textarea, select";
  return [...form.querySelectorAll(wanted)].filter((one) => one.name).map((one) => ({
    name: one.name, value: one.value, checked: one.matches("[type=checkbox], [type=radio]") ? one.checked : null,
  }));
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (actionOf(form) === "/sign-out") {
    try { sessionStorage.removeItem(STORE); } catch { /* there is none */ }
    return;
  }
  const key = keyOf(form)?.value;
  if (!key) return;
  // A second click sends nothing; a second tab or a reload gets the first response.
  if (form.dataset.once) {
    event.preventDefault();
    return;
  }
  form.dataset.once = "sent";
  const variant = form.querySelector("input[type=hidden][name=decision]")?.value ?? "";
  const others = kept().filter((one) => one.action !== actionOf(form) || one.variant !== variant);
  keep([...others, { key, variant, action: actionOf(form), at: Date.now(), fields: written(form) }]);
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-once]")) delete form.dataset.once;
});

async function settle() {
  const left = [];
  for (const one of kept()) {
    // Forms just sent or on this page are kept; the others are checked with the server.
    const isDue = Date.now() - one.at < JUST_MS || formOf(one);
    const led = isDue ? await outcome(one.key) : null;
    if (led) arrived(one, led);
    else left.push(one);
  }
  keep(left);
  for (const one of left) restore(one);
}

// If the server cannot be reached, everything stays stored.
async function outcome(key) {
  try {
    const answer = await fetch(`/sent?form=${encodeURIComponent(key)}`, { headers: { Accept: "application/json" } });
    return answer.ok ? (await answer.json()).led : null;
  } catch { return null; }
}

const formOf = (one) => [...document.querySelectorAll("main form[method=post]")].find((form) =>
  actionOf(form) === one.action
  && (form.querySelector("input[type=hidden][name=decision]")?.value ?? "") === one.variant);
const clock = (at) => new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false }).format(at);

// The response was lost, but the form was carried out.
function arrived(one, led) {
  const form = formOf(one);
  const texts = one.fields.filter((field) => field.checked === null && field.value.trim());
  if (!form || !texts.length || led === location.pathname + location.search) return;
  if (performance.getEntriesByType("navigation")[0]?.type !== "back_forward") return;
  note(form, `What you sent from here at ${clock(one.at)} was carried out.`);
}

function restore(one) {
  const form = formOf(one);
  if (!form || !one.fields.some((field) => field.checked === null && field.value.trim())) return;
  const seen = {};
  let changed = false;
  for (const field of form.querySelectorAll("input:not([type=hidden]), textarea, select")) {
    const nth = (seen[field.name] = (seen[field.name] ?? -1) + 1);
    const was = one.fields.filter((each) => each.name === field.name)[nth];
    if (!was) continue;
    if (was.checked !== null) field.checked = was.checked;
    else if (field.value !== was.value) {
      field.value = was.value;
      changed = true;
    }
  }
  // With the same key: if it was carried out after all, sending it again changes nothing.
  keyOf(form).value = one.key;
  for (let at = form.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
  if (changed) note(form, `Kept from ${clock(one.at)}: this was not sent. Check it, and send it again.`);
  if (changed) form.dispatchEvent(new Event("change", { bubbles: true }));
}

function note(form, words) {
  const told = document.createElement("p");
  told.className = "notice warn";
  told.setAttribute("role", "status");
  told.dataset.kept = "";
  told.textContent = words;
  form.prepend(told);
}

settle();
