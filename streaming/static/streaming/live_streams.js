// What runs now, looked at every two seconds for as long as somebody looks at the page.
const EVERY_MILLISECONDS = 2000;
const PHASES = { queued: "waiting for its turn", asked: "waiting for the provider", streaming: "streaming" };
const SIGN_IN_AGAIN = "Nobody is signed in any more. Reload the page and sign in again.";

const page = document.getElementById("live");
const find = (id) => document.getElementById(id);
const rows = new Map();

async function look() {
  if (!document.hidden) {
    try {
      const response = await fetch(page.dataset.running, { headers: { Accept: "application/json" } });
      if (response.status === 403) fail(SIGN_IN_AGAIN);
      else if (!response.ok) fail(`The gateway answered ${response.status}; the page goes on trying.`);
      else show(await response.json());
    } catch {
      fail("The gateway does not answer; the page goes on trying.");
    }
  }
  setTimeout(look, EVERY_MILLISECONDS);
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
    element.remove();
    rows.delete(key);
  }
  find("table-card").hidden = !rows.size;
  find("nothing").hidden = rows.size > 0;
}

function summary({ total, running }) {
  if (!total) return "No request runs.";
  const text = total === 1 ? "1 request runs." : `${total} requests run.`;
  return running.length < total ? `${text} The ${running.length} oldest are shown.` : text;
}

function row(one) {
  const element = document.createElement("tr");
  const who = one.api_key ? `${one.user} (API key ${one.api_key})` : one.user;
  cell(element, "User", who);
  cell(element, "Endpoint", `${one.inference_id} (${one.service})`);
  for (const name of ["State", "Running for", "Deltas"]) cell(element, name, "");
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
  const [, , state, duration, deltas] = element.cells;
  state.textContent = PHASES[one.phase] + (one.stream ? "" : ", no stream");
  duration.textContent = `${one.seconds.toFixed(1)} s`;
  deltas.textContent = one.stream ? String(one.deltas) : "–";
}

async function stop(one, button) {
  button.disabled = true;
  const token = page.querySelector("[name=csrfmiddlewaretoken]").value;
  const body = new URLSearchParams({ process: one.process, number: one.number, csrfmiddlewaretoken: token });
  try {
    const response = await fetch(page.dataset.stop, { method: "POST", body });
    if (response.ok) say((await response.json()).stopped ? "Stopped." : "It was over already.");
    else fail(response.status === 403 ? SIGN_IN_AGAIN : `The gateway answered ${response.status}.`);
    button.disabled = response.ok;
  } catch {
    fail("The gateway does not answer.");
    button.disabled = false;
  }
}

// Said only where it changed: screen readers would repeat it.
function say(text) {
  if (find("status").textContent !== text) find("status").textContent = text;
}

function fail(text) {
  find("problem").textContent = text;
  find("problem").hidden = !text;
}

look();
