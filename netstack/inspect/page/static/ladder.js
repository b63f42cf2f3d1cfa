// The ladder of the selected connection: its segments in order, the peer on the left, this stack on the right.
import {el, exact, seconds} from "./format.js";

const MOST = 400;  // rungs in the document
const SAID = {loss: "loss found", refuted: "no loss after all", timer: "timer fired"};  // marks that are no segments

export class Ladder {
  constructor(panel) {
    this.panel = panel;
    this.anew({who: "", first_at: 0});
  }

  anew({who, first_at}) {
    this.first = first_at;
    this.last = this.seen = 0;
    const [here, peer] = who.split(" - ");
    this.panel.replaceChildren();
    this.list = null;
    if (!who) { this.panel.append(el("p", {className: "empty", textContent: "Select a connection: its segments are drawn here as they pass."})); return; }
    this.panel.append(el("div", {className: "rung ends"}, el("time", {textContent: "seconds"}), el("span"),
      el("span", {textContent: `peer ${peer ?? ""}`}), el("span", {textContent: `here ${here ?? ""}`})));
    this.list = el("div", {className: "rungs"});
    this.panel.append(this.list);
  }

  // What is new, in the order in which it happened.
  add({segments = [], marks = [], moves = []}) {
    if (!this.list) return;
    const news = [
      ...segments.map(segment => [segment, this.segment(segment)]),
      ...marks.filter(mark => SAID[mark[2]]).map(mark => [mark, this.said(mark[1], `${SAID[mark[2]]}: ${mark[4]}`, "said")]),
      ...moves.map(move => [move, this.said(move[1], `${move[2]} → ${move[3]}: ${move[4]}`, "move", move[5])]),
    ].filter(([[number]]) => number > this.last).sort(([[a]], [[b]]) => a - b);
    if (!news.length) return;
    this.last = news.at(-1)[0][0];
    const follows = this.panel.scrollHeight - this.panel.scrollTop - this.panel.clientHeight < 40;
    for (const [what, row] of news) {
      const index = what[10];  // of a segment: which one it is
      if (index > this.seen + 1) this.list.append(el("div", {className: "rung skip", textContent: `${exact.format(index - this.seen - 1)} segments not drawn`}));
      if (index) this.seen = index;
      this.list.append(row);
    }
    while (this.list.childElementCount > MOST) this.list.children[40].remove();  // the handshake stays
    if (follows && this.list.childElementCount > 40) this.panel.scrollTop = this.panel.scrollHeight;
  }

  segment([, at, ours, flags, seq, ack, length, wnd, why, state]) {
    const text = `${flags} ${seq}:${seq + length}(${length})${ack === null ? "" : ` ack ${ack}`} win ${wnd}`;
    return el("div", {className: `rung ${ours ? "ours" : "theirs"}${/^(retransmission|probe|beyond|arrived)/.test(why) ? " odd" : ""}`},
      el("time", {textContent: seconds(at - this.first)}),
      el("span", {className: "peer"}),
      el("span", {className: "arrow"}, el("span", {textContent: text})),
      el("span", {className: "here"}, el("b", {textContent: state}), ` ${why}`));
  }

  said(at, text, kind, title = "") {
    return el("div", {className: `rung ${kind}`}, el("time", {textContent: seconds(at - this.first)}), el("span", {className: "peer"}),
      el("span", {className: "words", title, textContent: text}));
  }
}
