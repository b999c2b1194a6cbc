// The page: one prompt for one endpoint, or for several side by side.
import { Column } from "./column.js";
import { StreamSocket } from "./socket.js";

const page = document.getElementById("playground");
if (page) open(page);

function open(page) {
  const find = (id) => document.getElementById(id);
  const socket = new StreamSocket(page.dataset.socket);
  const address = page.dataset.address || location.origin;
  const most = Number(page.dataset.most);
  const mostBytes = Number(page.dataset.mostBytes);
  const columns = [];
  const running = new Map();
  let lastId = 0;

  // Return what is asked, or null where the task settings are no JSON object.
  function question() {
    const written = find("task-settings").value.trim();
    const body = { input: find("prompt").value };
    if (!written) return body;
    try {
      const settings = JSON.parse(written);
      if (settings === null || typeof settings !== "object" || Array.isArray(settings)) return null;
      return Object.keys(settings).length ? { ...body, task_settings: settings } : body;
    } catch {
      return null;
    }
  }

  function start() {
    const body = question();
    if (running.size) return;
    if (!body) {
      say("The task settings are not a JSON object.");
      return;
    }
    if (!body.input) {
      say("A prompt is needed.");
      find("prompt").focus();
      return;
    }
    if (new Blob([body.input]).size > mostBytes) {
      say(`The prompt is longer than the [${mostBytes}] bytes that the gateway takes.`);
      return;
    }
    for (const column of columns) {
      const id = ++lastId;
      running.set(id, column);
      column.begin();
      socket.start(id, { inference_id: column.inferenceId, ...body }, (message) => hear(id, column, message));
    }
    say(columns.length === 1 ? "Streaming…" : `Streaming from ${columns.length} endpoints…`);
    update();
  }

  function hear(id, column, message) {
    if (!column.hear(message)) return;
    running.delete(id);
    if (!running.size) say(summary(columns.map((column) => column.verdict)));
    update();
  }

  function stop() {
    for (const id of running.keys()) socket.stop(id);
  }

  function add() {
    const used = new Set(columns.map((column) => column.number));
    const number = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((free) => !used.has(free));
    const column = new Column(find("column"), number);
    if (columns.length) chooseAnother(column);
    column.select.addEventListener("change", showCode);
    column.onCode = showCode;
    column.removeButton.addEventListener("click", () => remove(column));
    columns.push(column);
    find("columns").append(column.element);
    update();
    return column;
  }

  function chooseAnother(column) {
    const chosen = new Set(columns.map((other) => other.inferenceId));
    const free = [...column.select.options].find((option) => !chosen.has(option.value));
    if (free) column.select.value = free.value;
  }

  function remove(column) {
    columns.splice(columns.indexOf(column), 1);
    column.element.remove();
    find("compare").focus();
    update();
  }

  function update() {
    const busy = running.size > 0;
    const focused = document.activeElement;
    find("start").disabled = busy;
    find("stop").disabled = !busy;
    // A button that is switched off loses the keyboard's focus to nobody.
    if (focused === find("start") && busy) find("stop").focus();
    if (focused === find("stop") && !busy) find("start").focus();
    find("compare").disabled = busy || columns.length >= most;
    for (const column of columns) {
      column.select.disabled = busy;
      column.removeButton.hidden = columns.length < 2;
      column.removeButton.disabled = busy;
    }
  }

  function showCode() {
    const body = question();
    for (const column of columns) column.showCode(address, body);
  }

  function say(text) {
    find("status").textContent = text;
  }

  find("question").addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  find("stop").addEventListener("click", stop);
  find("compare").addEventListener("click", () => add().select.focus());
  find("question").addEventListener("input", showCode);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running.size) stop();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      start();
    }
  });
  add();
}

// Return one word for what became of all.
function summary(verdicts) {
  const counts = Object.entries(Object.groupBy(verdicts, (verdict) => verdict));
  if (counts.length === 1) return `${sentence(counts[0][0])}.`;
  return counts.map(([verdict, ones]) => `${sentence(verdict)}: ${ones.length}.`).join(" ");
}

function sentence(word) {
  return word[0].toUpperCase() + word.slice(1);
}
