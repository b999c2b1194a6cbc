// What runs now, looked at every two seconds for as long as somebody looks at the page.
const EVERY_MILLISECONDS = 2000;
const LONGEST_MILLISECONDS = 10_000;
const PHASES = { queued: "waiting for its turn", asked: "waiting for the provider", streaming: "streaming" };
const OLD = "The page goes on trying; what it shows may be over.";
const SIGN_IN_AGAIN = "Nobody is signed in any more. Reload the page and sign in again.";

const page = document.getElementById("live");
const find = (id) => document.getElementById(id);
const rows = new Map();
let timer;

async function look() {
  clearTimeout(timer);
  if (!document.hidden) await ask();
  clearTimeout(timer);
  timer = setTimeout(look, EVERY_MILLISECONDS);
}

async function ask() {
  try {
    const response = await send(page.dataset.running, { headers: { Accept: "application/json" } });
    if (response.ok) {
      show(await response.json());
      return;
    }
    if (response.status === 403) {
      // Who is not signed in any more sees nothing.
      clear();
      fail(SIGN_IN_AGAIN);
      return;
    }
    fail(`The gateway answered ${response.status}. ${OLD}`);
  } catch {
    fail(`The gateway does not answer. ${OLD}`);
  }
}

function send(address, options) {
  return fetch(address, { ...options, signal: AbortSignal.timeout(LONGEST_MILLISECONDS) });
}

function show({ listing, silent }) {
  fail(silent ? `Of the gateway's processes ${silent} did not answer; what they do is missing here.` : "");
  say(summary(listing));
  const found = new Set();
  for (const one of listing.running) {
    const key = `${one.process}-${one.number}`;
    found.add(key);
    if (!rows.has(key)) rows.set(key, row(one));
    update(rows.get(key), one);
  }
  for (const [key, element] of rows) {
    if (found.has(key)) continue;
    leave(element);
    rows.delete(key);
  }
  find("table-card").hidden = !rows.size;
  find("nothing").hidden = rows.size > 0;
}

function clear() {
  rows.clear();
  find("rows").replaceChildren();
  find("table-card").hidden = find("nothing").hidden = true;
  say("");
}

function summary({ total, running }) {
  if (!total) return "No request runs.";
  const text = total === 1 ? "1 request runs." : `${total} requests run.`;
  return running.length < total ? `${text} The ${running.length} oldest are shown.` : text;
}

// Where the keyboard's focus stood in the row, it goes to the next one.
function leave(row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  const focused = row.contains(document.activeElement);
  row.remove();
  if (focused) (next?.querySelector("button") ?? find("status")).focus();
}

function row(one) {
  const element = document.createElement("tr");
  element.dataset.since = clock(one.seconds);
  const who = one.api_key ? `${one.user} (API key ${one.api_key})` : one.user;
  cell(element, "User", who);
  cell(element, "Endpoint", `${one.inference_id} (${one.service})`);
  for (const name of ["State", "Since", "Deltas"]) cell(element, name, "");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "push";
  button.textContent = "Stop";
  button.setAttribute("aria-label", `Stop the request of ${who} to ${one.inference_id}`);
  button.addEventListener("click", () => stop(one, button));
  const last = document.createElement("td");
  last.append(button);
  element.append(last);
  find("rows").append(element);
  return element;
}

function cell(row, name, text) {
  const element = document.createElement("td");
  element.dataset.name = name;
  element.textContent = text;
  row.append(element);
}

function update(element, one) {
  const [, , state, since, deltas] = element.cells;
  state.textContent = PHASES[one.phase] + (one.stream ? "" : ", no stream");
  since.textContent = `${element.dataset.since} (${duration(one.seconds)})`;
  deltas.textContent = one.stream ? String(one.deltas) : "–";
}

function clock(seconds) {
  return new Date(Date.now() - seconds * 1000).toLocaleTimeString();
}

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

async function stop(one, button) {
  // Switched off it would lose the focus.
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  const token = page.querySelector("[name=csrfmiddlewaretoken]").value;
  const body = new URLSearchParams({ process: one.process, number: one.number, csrfmiddlewaretoken: token });
  try {
    const response = await send(page.dataset.stop, { method: "POST", body });
    if (response.ok || response.status === 404) {
      await look();
      say(response.ok ? "Stopped." : "It was over already.");
      return;
    }
    fail(response.status === 403 ? SIGN_IN_AGAIN : `The gateway answered ${response.status}.`);
  } catch {
    fail("The gateway does not answer.");
  }
  button.removeAttribute("aria-disabled");
}

// Said only where it changed: screen readers would repeat it.
function say(text) {
  if (find("status").textContent !== text) find("status").textContent = text;
}

function fail(text) {
  find("problem").textContent = text;
  find("problem").hidden = !text;
}

document.addEventListener("visibilitychange", look);
look();
