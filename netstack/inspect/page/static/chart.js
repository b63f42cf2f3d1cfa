// Tokens on the state chart: one for each connection, walking the edges that its changes of state name.
import {hue} from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 420;        // milliseconds on an edge; less when a token has far to go
const CROWD = 30;        // tokens walking at the same time; beyond that they jump
const PER_BOX = 6;       // tokens that have room in a box; of more, some are drawn and all counted
const DRAWN = 3;
const STAY = 6_000;      // milliseconds that a token stays where connections end
const RADIUS = 10;

const box = name => document.getElementById(`s-${name}`);
const idOf = state => state.replaceAll("-", "_");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Chart {
  constructor(choose) {
    this.choose = choose;
    this.layer = document.getElementById("tokens");
    this.tokens = new Map();
    this.chosen = null;
    this.counts = {};  // others' connections by state
    this.running = false;
  }

  clear() {
    for (const token of this.tokens.values()) token.element.remove();
    this.tokens.clear();
    this.walked([]);
    this.settle();
  }

  // The table of connections decides who has a token and where it ends up; moves only say by which way.
  update(rows, shown) {
    for (const [who, row] of rows) {
      if (!shown(row)) continue;
      let token = this.tokens.get(who);
      if (!token) {
        if (row.kind === "ended" && !row.fresh) continue;
        token = this.make(who, row, row.fresh ? "LISTEN" : row.state);
      }
      token.target = row.state;
      if (token.own !== row.own) token.element.classList.toggle("own", token.own = row.own);
      token.number = row.number ?? token.number;
    }
    for (const [who, token] of this.tokens) {
      const row = rows.get(who);
      // One that is not listed has no token; one that came to its end is still seen arriving there.
      if (row ? !shown(row) : !token.queue.length && token.target !== "CLOSED") this.remove(token);
    }
    this.settle();
    this.run();
  }

  move(who, old, next, own) {
    const token = this.tokens.get(who) ?? this.make(who, {own}, old);
    token.target = next;
    token.leaves = undefined;
    const walking = [...this.tokens.values()].filter(t => t.queue.length).length;
    const edge = document.getElementById(`e-${idOf(old)}-${idOf(next)}`);
    if (edge) this.heat(edge);
    if (calm.matches || walking > CROWD) { token.state = next; token.queue.length = 0; return; }
    token.queue.push({old, next, edge});
  }

  make(who, row, state) {
    const element = document.createElementNS(SVG, "g");
    element.classList.add("token");
    const listener = row.kind === "listener";
    const shape = document.createElementNS(SVG, listener ? "rect" : "circle");
    if (listener) for (const [k, v] of [["x", -9], ["y", -9], ["width", 18], ["height", 18], ["rx", 3]]) shape.setAttribute(k, v);
    else shape.setAttribute("r", RADIUS);
    const title = document.createElementNS(SVG, "title");
    title.textContent = listener ? `${who} listens` : who;
    element.append(title, shape);
    element.addEventListener("click", () => this.choose(who));
    const token = {who, element, state, target: state, queue: [], number: row.number ?? 0, own: row.own, listener};
    element.style.setProperty("--hue", hue(who));
    element.classList.toggle("own", !!row.own);
    this.layer.append(element);
    this.tokens.set(who, token);
    return token;
  }

  remove(token) {
    token.element.remove();
    this.tokens.delete(token.who);
  }

  select(who) {
    this.chosen = who;
    for (const token of this.tokens.values()) token.element.classList.toggle("chosen", token.who === who);
  }

  // The way that the selected connection took.
  walked(moves) {
    for (const edge of document.querySelectorAll(".edge.walked")) edge.classList.remove("walked");
    for (const [, , old, next] of moves) document.getElementById(`e-${idOf(old)}-${idOf(next)}`)?.classList.add("walked");
  }

  heat(edge) {
    edge.classList.remove("hot");
    void edge.getBoundingClientRect();  // the animation begins anew
    edge.classList.add("hot");
  }

  place(state, ended) {
    return box(state === "CLOSED" && ended ? "END" : idOf(state));
  }

  // Everybody who is not walking goes to a place of its own in the box of its state.
  settle() {
    const boxes = new Map(), now = performance.now();
    for (const token of this.tokens.values()) {
      if (token.queue.length) continue;
      token.state = token.target;
      const name = token.state === "CLOSED" ? "END" : idOf(token.state);
      if (name === "END") {
        token.leaves ??= now + STAY;
        token.element.classList.toggle("leaving", token.leaves - now < 1_000);
        if (token.leaves < now) { this.remove(token); continue; }
      }
      if (!boxes.has(name)) boxes.set(name, []);
      boxes.get(name).push(token);
    }
    for (const group of document.querySelectorAll(".state")) {
      const tokens = (boxes.get(group.id.slice(2)) ?? []).sort((a, b) => b.listener - a.listener || b.number - a.number);
      // The stack counts all; tokens are there for those that the table lists.
      const walking = [...this.tokens.values()].filter(t => t.queue.length && t.target === group.dataset.state).length;
      const all = Math.max(tokens.length, (this.counts[group.dataset.state] ?? 0) - walking + tokens.filter(t => t.own).length);
      const drawn = all > PER_BOX ? tokens.slice(0, DRAWN) : tokens;
      const width = (drawn.length - 1 + (all > drawn.length ? 2.2 : 0)) * 23;
      tokens.forEach((token, n) => {
        token.element.classList.toggle("hidden", n >= drawn.length);
        const x = +group.dataset.x - width / 2 + n * 23, y = +group.dataset.y + 14;
        this.put(token, x, y);
      });
      const more = group.querySelector(".more");
      if (more) more.textContent = all > drawn.length ? `+${all - drawn.length}` : "";
      group.classList.toggle("lived-in", tokens.length > 0);
    }
  }

  put(token, x, y) {
    token.element.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
  }

  run() {
    if (this.running || ![...this.tokens.values()].some(token => token.queue.length)) return;
    this.running = true;
    requestAnimationFrame(now => this.frame(now));
  }

  frame(now) {
    let busy = false;
    for (const token of this.tokens.values()) {
      const step = token.queue[0];
      if (!step) continue;
      busy = true;
      token.element.classList.remove("hidden");
      step.began ??= now;
      const share = Math.min((now - step.began) / (token.queue.length > 3 ? STEP / 2 : STEP), 1);
      this.walk(token, step, share);
      if (share === 1) {
        token.state = step.next;
        token.queue.shift();
        if (!token.queue.length) this.settle();
      }
    }
    this.running = busy;
    if (busy) requestAnimationFrame(then => this.frame(then));
  }

  walk(token, {old, next, edge}, share) {
    const eased = share * share * (3 - 2 * share);
    if (edge) {
      const path = edge.querySelector("path");
      const point = path.getPointAtLength(eased * path.getTotalLength());
      this.put(token, point.x, point.y);
    } else {  // not drawn: straight to where connections end
      const from = box(idOf(old)).dataset, to = this.place(next, true).dataset;
      this.put(token, +from.x + (to.x - from.x) * eased, +from.y + 14 + (to.y - from.y) * eased);
    }
  }
}
