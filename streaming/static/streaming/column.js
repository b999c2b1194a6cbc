// One endpoint of the playground: its answer as it comes, its figures, its raw events, its code.
// Whatever a provider says is put into the page as text and never as markup.
import { codes } from "./code.js";
import { GrowingText } from "./growing_text.js";
import { RawEvents } from "./raw_events.js";

const MOST_CHARACTERS = 500_000;
const OUTCOMES = {
  client_gone: "stopped",
  drained: "stopped by the gateway",
  refused: "refused",
  stalled: "provider fell silent",
  timed_out: "timed out",
  upstream_cut: "provider broke off",
  upstream_error: "provider failed",
};
const STOPPED_BY_SOMEBODY = "task_cancelled_exception";
const LOST = "The connection to the gateway was lost. Start again; if that does not help, reload the page and sign in.";

export class Column {
  running = false;
  // How it ended: "finished", "stopped" by this page or by somebody else, or "failed"; "" before.
  verdict = "";
  // Called when somebody opens the code.
  onCode = () => {};
  #answer;
  #text;
  #raw;
  #dirty = false;

  constructor(template, number) {
    this.number = number;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.select = this.#find("select");
    this.removeButton = this.#find(".remove");
    this.#name(number);
    this.#answer = this.#find(".answer");
    this.#text = new GrowingText(this.#answer);
    this.#raw = new RawEvents(this.#find(".raw"));
    this.#find(".code").addEventListener("toggle", () => this.onCode());
  }

  get inferenceId() {
    return this.select.value;
  }

  // Begin anew; what was there before is gone.
  begin() {
    this.running = true;
    this.verdict = "";
    this.#began = performance.now();
    this.#firstAt = this.#endedAt = null;
    this.#deltas = this.#characters = 0;
    this.#raw.clear();
    this.#text.clear();
    // What is read to people is the whole answer, and not each piece of it.
    this.#answer.setAttribute("aria-busy", "true");
    this.#fail("");
    for (const name of ["first", "deltas", "deltaRate", "characterRate", "tokens"]) this.#figure(name, "–");
    this.#figure("outcome", "…");
    this.#drawLater();
  }

  // Take one message of the socket. Return whether the stream is over.
  hear(message) {
    if (message.type === "event") {
      this.#take(message.event);
      return false;
    }
    this.running = false;
    this.#endedAt = performance.now();
    if (message.type === "end") this.#end(message);
    else this.#fail(message.reason || LOST);
    this.verdict ||= "failed";
    this.#drawLater();
    return true;
  }

  // Show the code if somebody has opened it. `body` is null where there is no question that could be asked.
  showCode(address, body) {
    if (!this.#find(".code").open || body === null) return;
    const shown = codes(address, this.inferenceId, body).map(({ name, text }) => snippet(name, text));
    this.#find(".codes").replaceChildren(...shown);
  }

  #began = 0;
  #firstAt = null;
  #endedAt = null;
  #deltas = 0;
  #characters = 0;

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #name(number) {
    this.element.id = `column-${number}`;
    this.element.setAttribute("aria-label", `Endpoint ${number}`);
    this.select.id = `endpoint-${number}`;
    this.#find("label").htmlFor = this.select.id;
    this.#find(".answer").id = `answer-${number}`;
    this.#find(".answer").setAttribute("aria-label", `Answer ${number}`);
    this.removeButton.setAttribute("aria-label", `Remove endpoint ${number}`);
  }

  #take(event) {
    this.#raw.add(event);
    const [name, data] = read(event);
    if (name === "error") this.#refuse(JSON.parse(data));
    else if (data !== "[DONE]") this.#say(JSON.parse(data).completion.map((part) => part.delta));
    this.#drawLater();
  }

  #say(deltas) {
    this.#firstAt ??= performance.now();
    this.#deltas += deltas.length;
    const text = deltas.join("");
    const room = MOST_CHARACTERS - this.#characters;
    this.#characters += text.length;
    if (room > 0) this.#text.add(text.slice(0, room));
  }

  #refuse(body) {
    this.#fail(reason(body));
    if (body.error.type === STOPPED_BY_SOMEBODY) this.verdict = "stopped";
  }

  #end(end) {
    if (end.first_delta !== null) this.#figure("first", `${Math.round(end.first_delta * 1000)} ms`);
    if (end.input_tokens !== null || end.output_tokens !== null) {
      this.#figure("tokens", `${end.input_tokens ?? "?"}, ${end.output_tokens ?? "?"}`);
    }
    if (end.outcome === "complete") this.verdict = "finished";
    if (end.outcome === "client_gone") this.verdict = "stopped";
    const outcome = this.verdict === "stopped" ? "stopped" : OUTCOMES[end.outcome] ?? end.outcome;
    this.#figure("outcome", end.status === 200 ? outcome : `${outcome} (${end.status})`);
  }

  #fail(text) {
    const failure = this.#find(".failure");
    failure.textContent = text;
    failure.hidden = !text;
    if (text) this.#figure("outcome", "failed");
  }

  #figure(name, text) {
    this.#find(`[data-figure="${name}"]`).textContent = text;
  }

  #drawLater() {
    if (this.#dirty) return;
    this.#dirty = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#dirty = false;
    this.#raw.draw();
    if (!this.running) this.#answer.setAttribute("aria-busy", "false");
    const leftOut = this.#find(".answer + .left-out");
    leftOut.hidden = this.#characters <= MOST_CHARACTERS;
    leftOut.textContent = `Shown are the first ${MOST_CHARACTERS} of ${this.#characters} characters.`;
    if (this.#firstAt === null) return;
    if (this.running) this.#figure("first", `${Math.round(this.#firstAt - this.#began)} ms`);
    this.#figure("deltas", String(this.#deltas));
    const seconds = ((this.#endedAt ?? performance.now()) - this.#firstAt) / 1000;
    if (seconds < 0.05) return;
    this.#figure("deltaRate", (this.#deltas / seconds).toFixed(1));
    this.#figure("characterRate", (this.#characters / seconds).toFixed(0));
  }
}

// Return name and data of an event; each has one line of both.
function read(event) {
  const [first, second] = event.split("\n", 2);
  return [first.slice("event: ".length), second.slice("data: ".length)];
}

function reason(body) {
  const error = body.error;
  return typeof error === "string" ? error : `${body.status ?? ""} ${error.reason}`.trim();
}

function snippet(name, text) {
  const block = document.createElement("div");
  const head = document.createElement("header");
  const title = document.createElement("strong");
  const button = document.createElement("button");
  const code = document.createElement("pre");
  title.textContent = name;
  button.type = "button";
  button.className = "push copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy the ${name} code`);
  code.tabIndex = 0;
  code.textContent = text;
  code.dataset.language = name;
  button.addEventListener("click", () => copy(button, code));
  head.append(title, button);
  block.append(head, code);
  return block;
}

async function copy(button, code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    // Only pages of https:// and of this machine may write there.
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
