// A text that comes in pieces, thousands in a second if need be, drawn at most once a frame. It stands in blocks, since
// a browser lays out the whole block that something is added to.
const LONGEST_BLOCK = 20_000;
const LONGEST_PIECE = 4_000;
const MOST_A_FRAME = 40_000;

export class GrowingText {
  #element;
  #scheduled = false;
  #pieces = [];
  #block = null;

  constructor(element) {
    this.#element = element;
  }

  clear() {
    this.#pieces = [];
    this.#block = null;
    this.#element.replaceChildren();
  }

  add(text) {
    for (const piece of pieces(text)) this.#pieces.push(piece);
    this.#drawLater();
  }

  #drawLater() {
    if (this.#scheduled || !this.#pieces.length) return;
    this.#scheduled = true;
    requestAnimationFrame(() => this.#draw());
  }

  // The end of the text stays in sight where it was.
  #draw() {
    this.#scheduled = false;
    const element = this.#element;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 30;
    let drawn = 0;
    for (let room = MOST_A_FRAME; room > 0 && drawn < this.#pieces.length; room -= this.#pieces[drawn++].length) {
      this.#append(this.#pieces[drawn]);
    }
    this.#pieces.splice(0, drawn);
    if (atEnd) element.scrollTop = element.scrollHeight;
    this.#drawLater();
  }

  // A block ends behind a line where it can: nobody sees it there, and it is copied as it came.
  #append(piece) {
    const end = this.#length > LONGEST_BLOCK / 2 ? piece.indexOf("\n") + 1 : 0;
    if (end) {
      this.#block.appendData(piece.slice(0, end));
      this.#block = null;
    }
    if (end < piece.length) this.#grow(piece.slice(end));
  }

  #grow(text) {
    if (this.#block === null || this.#length + text.length > LONGEST_BLOCK) {
      const block = document.createElement("div");
      this.#block = document.createTextNode("");
      block.append(this.#block);
      this.#element.append(block);
    }
    this.#block.appendData(text);
  }

  get #length() {
    return this.#block === null ? 0 : this.#block.length;
  }
}

function* pieces(text) {
  let start = 0;
  while (start < text.length) {
    let end = Math.min(start + LONGEST_PIECE, text.length);
    // What is one character in two units of the string stays whole.
    if (text.codePointAt(end - 1) > 0xffff) end += 1;
    yield text.slice(start, end);
    start = end;
  }
}
