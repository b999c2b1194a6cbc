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
  const columns = [];
  const running = new Map();
  let lastId = 0;
  let stopped = false;

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
    if (running.size || !body || !body.input) {
      if (!body) say("The task settings are not a JSON object.");
      else if (!body.input) find("prompt").focus();
      return;
    }
    stopped = false;
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
    if (!running.size) say(stopped ? "Stopped." : "Finished.");
    update();
  }

  function stop() {
    stopped = true;
    for (const id of running.keys()) socket.stop(id);
  }

  function add() {
    const used = new Set(columns.map((column) => column.number));
    const number = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((free) => !used.has(free));
    const column = new Column(find("column"), number);
    if (columns.length) chooseAnother(column);
    column.select.addEventListener("change", showCode);
    column.removeButton.addEventListener("click", () => remove(column));
    columns.push(column);
    find("columns").append(column.element);
    update();
    showCode();
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
    find("start").disabled = busy;
    find("stop").disabled = !busy;
    find("compare").disabled = busy || columns.length >= most;
    for (const column of columns) {
      column.select.disabled = busy;
      column.removeButton.hidden = columns.length < 2;
      column.removeButton.disabled = busy;
    }
  }

  function showCode() {
    const body = question();
    if (body) for (const column of columns) column.showCode(address, body);
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
