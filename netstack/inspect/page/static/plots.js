// The graphs of the selected connection, drawn by uPlot from the samples that the stack's events gave.
import {micros, octets} from "./format.js";

const MOST = 4_000;  // samples kept here; then every second one goes

const color = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const whole = n => n === null || n === undefined ? "" : n >= 1e6 ? `${+(n / 1e6).toPrecision(4)}M` : n >= 1e4 ? `${+(n / 1e3).toPrecision(4)}k` : `${n}`;
const time = s => s >= 1 ? `${+s.toPrecision(6)} s` : s >= 1e-3 ? `${+(s * 1e3).toPrecision(4)} ms` : `${+(s * 1e6).toPrecision(4)} µs`;

export class Plots {
  constructor(fields) {
    this.fields = fields;
    this.way = "sent";
    this.plots = {};
    this.anew({first_at: 0});
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(document.getElementById("plots"));
  }

  anew({first_at}) {
    this.first = first_at;
    this.columns = this.fields.map(() => []);
    this.marks = [];
    this.rtts = [];
    this.slowest = 0;
    this.decided = false;
    this.draw();
  }

  add({samples = [], marks = [], rtts = []}) {
    for (const [at, rtt] of rtts) { this.rtts.push([(at - this.first) / 1e6, rtt / 1e6]); this.slowest = Math.max(this.slowest, rtt / 1e6); }
    if (this.rtts.length > MOST) this.rtts = this.rtts.filter((_, n) => n % 2 === 0);
    for (const sample of samples) sample.forEach((value, n) => this.columns[n].push(n ? value : (value - this.first) / 1e6));
    if (this.columns[0].length > MOST) this.columns = this.columns.map(column => column.filter((_, n) => n % 2 === 0 || n === column.length - 1));
    for (const [, at, kind, seq, text] of marks) if (kind !== "timer" || text === "retransmit") this.marks.push({at: (at - this.first) / 1e6, kind, seq, text});
    if (this.marks.length > 2 * MOST) this.marks.splice(0, MOST);
    if (!this.decided && this.columns[0].length) this.decide();
    if (samples.length || marks.length) this.draw();
  }

  // Which way most octets go is what there is to look at, until somebody chooses.
  decide() {
    const last = name => this.column(name).at(-1) ?? 0;
    this.way = last("rcv_nxt") > last("snd_nxt") ? "received" : "sent";
  }

  choose(way) {
    this.way = way;
    this.decided = true;
    this.restyle();
  }

  column(name) { return this.columns[this.fields.indexOf(name)]; }

  restyle() {
    for (const plot of Object.values(this.plots)) plot.destroy();
    this.plots = {};
    this.draw();
  }

  draw() {
    const x = this.column("at");
    const received = this.way === "received";
    const names = received ? ["rcv_edge", "rcv_nxt"] : ["snd_edge", "snd_nxt", "snd_una"];
    if (this.drawn !== this.way) { this.plots["plot-seq"]?.destroy(); delete this.plots["plot-seq"]; this.drawn = this.way; }
    this.show("plot-seq", [x, ...names.map(name => this.column(name))], () => ({
      series: received
        ? [line("RCV.NXT + RCV.WND", "soft", [4, 4]), line("RCV.NXT", "core")]
        : [line("SND.UNA + SND.WND", "soft", [4, 4]), line("SND.NXT", "wire"), line("SND.UNA", "core")],
      values: whole, floor: 0, marks: received ? ["gap", "twice"] : ["again", "probe"], captions: received
        ? "received, in sequence numbers; marks: beyond a gap, arrived twice"
        : "sent, in sequence numbers; marks: sent again, probes",
    }));
    this.show("plot-cwnd", [x, ...["cwnd", "ssthresh", "in_flight"].map(name => this.column(name))], () => ({
      series: [line("cwnd", "wire"), line("ssthresh", "app", [4, 4]), line("in flight", "core")],
      values: whole, floor: 0, lines: ["loss", "timer"], captions: "segments; lines: loss, RTO",
    }));
    this.show("plot-rtt", [x, this.column("srtt").map(us => us ? us / 1e6 : null)], () => ({
      series: [line("SRTT", "wire")], values: time, floor: 0, dots: true, captions: "round-trip time; dots: samples",
    }));
  }

  show(id, data, describe) {
    const figure = document.getElementById(id);
    const plot = this.plots[id];
    if (plot) { plot.setData(data); return; }
    const width = figure.clientWidth, height = figure.clientHeight - figure.querySelector("figcaption").offsetHeight;
    if (width < 40 || height < 40) return;
    const {series, values, floor, captions, marks = [], lines = [], dots = false} = describe();
    const axis = {stroke: color("soft"), grid: {stroke: color("line"), width: 1}, ticks: {stroke: color("line"), width: 1}, font: "11px system-ui, sans-serif"};
    this.caption(figure, id, series, captions);
    this.plots[id] = new uPlot({
      width, height,
      legend: {show: false},
      cursor: {y: false, drag: {x: false, y: false}, points: {size: 5}},
      scales: {
        x: {time: false, range: (u, min, max) => min === null ? [0, 1] : [min, Math.max(max, min + 1e-3)]},
        y: {range: (u, min, max) => {
          if (dots) max = Math.max(max ?? 0, this.slowest);
          return max === null ? [0, 1] : [floor, max > floor ? max * 1.06 : floor + 1];
        }},
      },
      axes: [
        {...axis, size: 26, space: 70, values: (u, ticks) => ticks.map(t => t ? time(t) : "0")},
        {...axis, size: 58, space: 19, values: (u, ticks) => ticks.map(values)},
      ],
      series: [{}, ...series],
      hooks: {
        draw: [u => this.decorate(u, marks, lines, dots)],
        setCursor: [u => this.read(figure, u, values)],
      },
    }, data, figure);
  }

  caption(figure, id, series, text) {
    const caption = figure.querySelector("figcaption");
    caption.replaceChildren();
    for (const one of series) {
      const key = document.createElement("span");
      key.className = `key${one.dash ? " dashed" : ""}`;
      key.style.setProperty("--tone", one.stroke);
      key.dataset.label = one.label;
      key.textContent = one.label;
      caption.append(key);
    }
    const what = document.createElement("small");
    what.textContent = text;
    what.title = text;
    caption.append(what);
    if (id === "plot-seq") {
      const button = document.createElement("button");
      const next = this.way === "sent" ? "received" : "sent";
      button.textContent = `show ${next}`;
      button.addEventListener("click", () => this.choose(next));
      caption.append(button);
    }
  }

  // What is under the pointer replaces the names in the caption.
  read(figure, u, values) {
    const n = u.cursor.idx;
    figure.querySelectorAll(".key").forEach((key, i) => {
      const value = n === null || n === undefined ? null : u.data[i + 1][n];
      key.textContent = value === null || value === undefined ? key.dataset.label : `${key.dataset.label} ${values(value)}`;
    });
  }

  decorate(u, marks, lines, dots) {
    const {ctx, bbox} = u, ratio = devicePixelRatio;
    const within = x => x >= bbox.left && x <= bbox.left + bbox.width;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const mark of this.marks) {
      const x = u.valToPos(mark.at, "x", true);
      if (!within(x)) continue;
      if (marks.includes(mark.kind)) {
        const y = u.valToPos(mark.seq, "y", true), size = 4 * ratio;
        ctx.strokeStyle = color(mark.kind === "again" || mark.kind === "gap" ? "bad" : "app");
        ctx.lineWidth = 1.8 * ratio;
        ctx.beginPath();
        ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y + size);
        ctx.moveTo(x + size, y - size); ctx.lineTo(x - size, y + size);
        ctx.stroke();
      } else if (lines.includes(mark.kind)) {
        ctx.strokeStyle = color(mark.kind === "loss" ? "bad" : "app");
        ctx.lineWidth = ratio;
        ctx.globalAlpha = 0.45;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.globalAlpha = 1;
      }
    }
    if (dots) {
      ctx.fillStyle = color("core");
      ctx.globalAlpha = 0.55;
      for (const [at, rtt] of this.rtts) {
        ctx.beginPath();
        ctx.arc(u.valToPos(at, "x", true), u.valToPos(rtt, "y", true), 1.6 * ratio, 0, 7);
        ctx.fill();
      }
    }
    ctx.restore();
  }

  fit() {
    for (const [id, plot] of Object.entries(this.plots)) {
      const figure = document.getElementById(id);
      const width = figure.clientWidth, height = figure.clientHeight - figure.querySelector("figcaption").offsetHeight;
      if (width > 40 && height > 40) plot.setSize({width, height});
    }
    this.draw();
  }
}

function line(label, tone, dash) {
  return {label, stroke: color(tone), width: 1.5, dash, points: {show: false}, paths: uPlot.paths.stepped({align: 1}), spanGaps: false};
}
