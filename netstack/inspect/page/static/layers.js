// The layers from the wire up, with their counters, and what each refused, by reason.
import {el, exact} from "./format.js";

const ORDER = ["tcp", "ip", "icmp", "udp", "arp", "ethernet", "device"];
const TITLES = {drops: "Dropped, by reason", tcp: "TCP", ip: "IPv4", icmp: "ICMP", udp: "UDP", arp: "ARP", ethernet: "Ethernet", device: "Device and path"};

export class Layers {
  constructor(panel, count) {
    this.panel = panel;
    this.count = count;
    this.known = new Map();
    this.cells = new Map();
    this.boxes = new Map();
    this.panel.replaceChildren(el("div", {className: "layers"}, ...["drops", ...ORDER].map(name => {
      const list = el("dl");
      this.boxes.set(name, list);
      return el("section", {className: `layer ${name}`}, el("h3", {textContent: TITLES[name]}), list);
    })));
  }

  update(changed) {
    for (const [path, value] of Object.entries(changed)) {
      const [layer, part] = path.split(".");
      for (const [name, shown, kind] of flatten(part, value)) this.show(layer, name, shown, kind);
    }
    let drops = 0;
    for (const [name, value] of this.known) if (name.includes("|drop|")) drops += value;
    this.count.textContent = drops ? exact.format(drops) : "";
    this.count.title = `${drops} dropped`;
  }

  show(layer, name, value, kind) {
    const list = this.boxes.get(kind === "drop" ? "drops" : layer), id = `${layer}|${kind}|${name}`;
    if (!list || this.known.get(id) === value) return;
    let cell = this.cells.get(id);
    if (!cell) {
      const term = el("dt", {textContent: name, title: name, className: kind});
      cell = el("dd", {className: kind});
      this.cells.set(id, cell);
      list.append(term, cell);
    } else {
      cell.classList.remove("changed");
      void cell.offsetWidth;
      cell.classList.add("changed");
    }
    this.known.set(id, value);
    cell.textContent = typeof value === "number" ? exact.format(value) : value;
  }
}

// [name, what is shown, kind] for each figure in one part of a layer.
function* flatten(part, value) {
  if (value === null) return;
  if (part === "drops") for (const [why, n] of Object.entries(value)) yield [why, n, "drop"];
  else if (part === "counters") for (const [name, n] of Object.entries(value)) yield [name, n, "count"];
  else if (part === "path") for (const [way, counts] of Object.entries(value)) for (const [name, n] of Object.entries(counts)) yield [`${way === "inbound" ? "to us" : "from us"}: ${name}`, n, "count"];
  else if (part === "neighbors") for (const n of value) yield [n.address, `${n.mac} ${n.state}`, "fact"];
  else if (part === "routes") for (const r of value) yield [r.network, r.gateway ? `by ${r.gateway}` : r.kind, "fact"];
  else if (part === "memory") yield ["memory used", value.used, "fact"];
  else if (part === "states") return;
  else if (typeof value !== "object") yield [part, typeof value === "boolean" ? (value ? "yes" : "no") : value, "fact"];
  else for (const [name, one] of Object.entries(value)) if (typeof one !== "object") yield [`${part} ${name}`, one, "fact"];
}
