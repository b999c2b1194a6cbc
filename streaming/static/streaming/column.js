// One endpoint of the playground: its answer as it comes, its figures, its raw events, its code.
// Whatever a provider says is put into the page as text and never as markup.
import { codes } from "./code.js";

const MOST_CHARACTERS = 500_000;
const MOST_RAW_EVENTS = 500;
const CUT = "\n[The page shows no more than this of a long answer.]";

export class Column {
  running = false;
  #text = document.createTextNode("");
  #raw = [];
  #dirty = false;

  constructor(template, number) {
    this.number = number;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.select = this.#find("select");
    this.removeButton = this.#find(".remove");
    this.#name(number);
    this.#find(".answer").append(this.#text);
    this.#find(".raw").addEventListener("toggle", () => this.#draw());
  }

  get inferenceId() {
    return this.select.value;
  }

  // Begin anew; what was there before is gone.
  begin() {
    this.running = true;
    this.#began = performance.now();
    this.#firstAt = this.#endedAt = null;
    this.#deltas = this.#characters = 0;
    this.#cut = false;
    this.#raw = [];
    this.#text.data = "";
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
    else this.#fail(message.reason || "The connection to the gateway was lost. Reload the page, and sign in again if need be.");
    this.#drawLater();
    return true;
  }

  showCode(address, body) {
    const shown = codes(address, this.inferenceId, body).map(({ name, text }) => snippet(name, text));
    this.#find(".codes").replaceChildren(...shown);
  }

  #began = 0;
  #firstAt = null;
  #endedAt = null;
  #deltas = 0;
  #characters = 0;
  #cut = false;

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
    this.#raw.push(event);
    if (this.#raw.length > MOST_RAW_EVENTS) this.#raw.shift();
    const [name, data] = read(event);
    if (name === "error") this.#fail(reason(JSON.parse(data)));
    else if (data !== "[DONE]") this.#say(JSON.parse(data).completion.map((part) => part.delta));
    this.#drawLater();
  }

  #say(deltas) {
    this.#firstAt ??= performance.now();
    this.#deltas += deltas.length;
    const text = deltas.join("");
    this.#characters += text.length;
    if (this.#characters <= MOST_CHARACTERS) this.#append(text);
    else if (!this.#cut) {
      this.#cut = true;
      this.#append(CUT);
    }
  }

  #append(text) {
    const answer = this.#find(".answer");
    const atEnd = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 30;
    this.#text.appendData(text);
    if (atEnd) answer.scrollTop = answer.scrollHeight;
  }

  #end(end) {
    if (end.first_delta !== null) this.#figure("first", `${Math.round(end.first_delta * 1000)} ms`);
    if (end.input_tokens !== null || end.output_tokens !== null) {
      this.#figure("tokens", `${end.input_tokens ?? "?"}, ${end.output_tokens ?? "?"}`);
    }
    const outcome = end.outcome === "client_gone" ? "stopped" : end.outcome.replaceAll("_", " ");
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
    const raw = this.#find(".raw");
    if (raw.open) raw.querySelector("pre").textContent = this.#raw.join("");
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
