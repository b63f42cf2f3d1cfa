// What the page does to the stack: the path's sliders, and three mean things to the selected connection.
import {bits, percent} from "./format.js";

const LOOK = {
  loss: "Loss: segments sent again appear as red crosses, cwnd falls to 0.7 of itself (CUBIC) and climbs back. Set it only “from the stack” while something downloads: then data is lost, not ACKs. RFC 5681, 6675, 8985.",
  delay: "Delay: SRTT follows within a few round trips, RTO with it, and a transfer needs a larger cwnd to go as fast: it grows once a round trip. RFC 6298, 5681.",
  reorder: "Reordering: duplicate ACKs with SACK blocks come back although nothing is lost. RACK waits a quarter of a round trip before it believes in a loss; a D-SACK later shows when it was wrong. RFC 8985, 2883.",
  duplicate: "Duplicates: a segment that was here already is dropped and acknowledged at once, with a D-SACK block. cwnd does not move. RFC 9293 3.10.7.4, RFC 2883.",
  corrupt: "Corruption: checksums do not fit. Look at the drops of IPv4 and TCP (Layers); for the sender it is loss. RFC 1071.",
  rate: "Rate: a queue fills at the narrow place: RTT climbs with cwnd until the queue overflows, then the sawtooth. RFC 5681.",
  way: "Direction: losing what goes “to the stack” while it sends loses ACKs only: the next one makes good for it, and hardly anything happens.",
  perfect: "A perfect path: watch how long cwnd takes to come back.",
  kill: "Kill: one segment with RST leaves, the connection is CLOSED on both sides at once, without TIME-WAIT; its program sees ECONNRESET (curl: “Recv failure”). RFC 9293 3.10.5.",
  hold: "Pause reading: the application takes nothing more. While a peer uploads (head -c 50000000 /dev/zero | curl -T - …/upload) the receive buffer fills, our window falls to 0, and the peer sends window probes until you resume. RFC 9293 3.8.6.",
  shut: "Zero window: from now on the peer's segments arrive with a window of 0. Our sender stops when it has used what was offered before, and its window-probe timer doubles its wait each time. RFC 9293 3.8.6.1.",
  "": "Move a slider or touch a button: here is what to look for. The connections of this page itself are spared, so that you can always turn it back.",
};
const SHOW = {loss: percent, reorder: percent, duplicate: percent, corrupt: percent, delay: ms => `${+ms} ms`, rate: bits};

export class Faults {
  constructor(act) {
    this.act = act;
    this.form = document.getElementById("path-form");
    this.look = document.getElementById("look");
    this.buttons = Object.fromEntries(["kill", "hold", "shut"].map(name => [name, document.getElementById(name)]));
    this.busyUntil = 0;
    this.who = null;
    this.tell("");
    for (const input of this.inputs()) {
      for (const type of ["focus", "pointerenter"]) input.addEventListener(type, () => this.tell(input.name));
      input.addEventListener("input", () => { this.tell(input.name); this.label(input); this.wish(); });
    }
    const perfect = document.getElementById("perfect");
    perfect.addEventListener("click", () => { this.show({loss: 0, delay: 0, reorder: 0, duplicate: 0, corrupt: 0, rate: 0, way: this.value("way")}, true); this.tell("perfect"); this.wish(); });
    for (const [name, button] of Object.entries(this.buttons)) {
      for (const type of ["focus", "pointerenter"]) button.addEventListener(type, () => this.tell(name));
      button.addEventListener("click", () => {
        this.tell(name);
        act(name === "kill" ? {do: name, who: this.who} : {do: name, who: this.who, on: button.getAttribute("aria-pressed") !== "true"});
      });
    }
    this.inputs().forEach(input => this.label(input));
  }

  inputs() { return [...this.form.querySelectorAll("[name]")]; }
  value(name) { return this.form.elements[name].value; }
  tell(name) { this.look.textContent = LOOK[name]; }

  label(input) {
    const output = input.parentElement.querySelector("output");
    if (output) output.textContent = SHOW[input.name](input.value);
    input.closest("label").classList.toggle("on", input.name === "way" ? input.value !== "both" : +input.value > 0);
  }

  // While somebody drags, the latest wish goes out a few times a second, and what the stack says does not pull back.
  wish() {
    this.busyUntil = performance.now() + 1_200;
    if (this.waiting) return;
    this.waiting = setTimeout(() => {
      this.waiting = null;
      const values = Object.fromEntries(this.inputs().map(input => [input.name, input.name === "way" ? input.value : +input.value]));
      this.act({do: "path", ...values});
    }, 120);
  }

  show(path, anyway = false) {
    if (!path || (!anyway && performance.now() < this.busyUntil)) return;
    for (const [name, value] of Object.entries(path)) {
      const input = this.form.elements[name];
      if (!input) continue;
      if (input.type === "range" && value > +input.max) input.max = value;
      if (input.name === "rate" && ![...input.options].some(option => +option.value === value)) {
        input.add(new Option(bits(value), value));
      }
      input.value = value;
      this.label(input);
    }
  }

  select(row, who) {
    const alive = row && (row.kind === "connection" || row.kind === "half-open");
    this.who = alive ? who : null;
    for (const button of Object.values(this.buttons)) button.disabled = !alive;
    for (const [name, flag, on, off] of [["hold", "held", "Resume reading", "Pause reading"], ["shut", "shut", "Open window", "Zero window"]]) {
      const button = this.buttons[name], pressed = !!(alive && row[flag]);
      if (button.getAttribute("aria-pressed") === String(pressed)) continue;
      button.setAttribute("aria-pressed", pressed);
      button.textContent = pressed ? on : off;
    }
    document.getElementById("mean-to").textContent = alive ? `to :${row.remote.split(":").at(-1)}` : "none selected";
  }
}
