// The last events of a stream as they came, drawn for as long as somebody has opened them.
const MOST_EVENTS = 500;
const MOST_CHARACTERS = 200_000;
const LONGEST_EVENT = 20_000;

export class RawEvents {
  #details;
  #list;
  #leftOut;
  #events = [];
  #characters = 0;
  #dropped = 0;

  constructor(details) {
    this.#details = details;
    this.#list = details.querySelector("pre");
    this.#leftOut = details.querySelector(".left-out");
    details.addEventListener("toggle", () => this.draw());
  }

  clear() {
    this.#events = [];
    this.#characters = this.#dropped = 0;
    this.#list.replaceChildren();
    this.draw();
  }

  add(event) {
    const text = shortened(event);
    this.#events.push({ text, element: null });
    this.#characters += text.length;
    while (this.#events.length > MOST_EVENTS || this.#characters > MOST_CHARACTERS) this.#drop();
  }

  draw() {
    if (!this.#details.open) return;
    for (const event of this.#events) {
      if (event.element !== null) continue;
      event.element = document.createElement("div");
      event.element.textContent = event.text;
      this.#list.append(event.element);
    }
    this.#leftOut.textContent = `${this.#dropped} earlier events are not shown any more.`;
    this.#leftOut.hidden = !this.#dropped;
  }

  #drop() {
    const { text, element } = this.#events.shift();
    element?.remove();
    this.#characters -= text.length;
    this.#dropped += 1;
  }
}

function shortened(event) {
  if (event.length <= LONGEST_EVENT) return event;
  return `${event.slice(0, LONGEST_EVENT)}… [${event.length - LONGEST_EVENT} more characters]\n\n`;
}
