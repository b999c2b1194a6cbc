// One WebSocket for all streams of the page, opened when the first is started and again after it was lost.
export class StreamSocket {
  #path;
  #socket = null;
  #listeners = new Map();

  constructor(path) {
    this.#path = path;
  }

  // `listener` is given each message about the stream `id`, and {type: "lost"} where the connection ends before it.
  start(id, question, listener) {
    this.#listeners.set(id, listener);
    this.#send({ type: "start", id, ...question });
  }

  stop(id) {
    if (this.#listeners.has(id)) this.#send({ type: "stop", id });
  }

  #send(message) {
    const socket = this.#open();
    const text = JSON.stringify(message);
    if (socket.readyState === WebSocket.OPEN) socket.send(text);
    else socket.addEventListener("open", () => socket.send(text), { once: true });
  }

  #open() {
    if (this.#socket !== null) return this.#socket;
    const address = new URL(this.#path, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.addEventListener("message", (event) => this.#hear(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => this.#lose(socket, event.reason));
    this.#socket = socket;
    return socket;
  }

  #hear(message) {
    const listener = this.#listeners.get(message.id);
    if (message.type !== "event") this.#listeners.delete(message.id);
    if (listener) listener(message);
  }

  #lose(socket, reason) {
    if (this.#socket === socket) this.#socket = null;
    const left = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of left) listener({ type: "lost", reason });
  }
}
