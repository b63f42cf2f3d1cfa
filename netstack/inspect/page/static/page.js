// The live page: takes the stack's messages, keeps what they say, and hands it to the parts that draw.
import {Chart} from "./chart.js";
import {Faults} from "./faults.js";
import {el, exact, hue, micros, octets, seconds} from "./format.js";
import {Ladder} from "./ladder.js";
import {Layers} from "./layers.js";
import {Plots} from "./plots.js";

const $ = id => document.getElementById(id);
const MOVES = 60;

const world = {rows: new Map(), chosen: null, viewer: 0, began: 0};
let plots = null, late = null;
let frozen = null;  // while the display stands still: the messages that it will catch up with
const chart = new Chart(choose);
const faults = new Faults(act);
const ladder = new Ladder($("ladder"));
const layers = new Layers($("layers"), $("drop-count"));

// What the stack says.

const stream = new EventSource("inspect/events");
stream.addEventListener("hello", event => { if (frozen) frozen.length = 0; hello(JSON.parse(event.data)); });
stream.addEventListener("tick", event => frozen ? frozen.push(event.data) : tick(JSON.parse(event.data)));
stream.onerror = () => link("lost", "no connection");

function hello(said) {
  world.rows.clear();
  Object.assign(world, {viewer: said.viewer, began: said.now, tries: said.tries});
  $("address").textContent = said.address;
  $("settings").textContent = `MTU ${said.mtu}, ${said.cc}`;
  $("moves").replaceChildren();
  chart.clear();
  plots ??= new Plots(said.fields);
  faults.form.inert = !said.faults;
  if (world.picked) act({do: "choose", viewer: world.viewer, who: world.chosen});
}

function tick(said) {
  link("live", "live");
  clearTimeout(late);
  late = setTimeout(() => link("late", "waiting"), 3_000);
  const moves = said.moves ?? [];
  const seen = new Set(moves.map(move => move[1]));
  for (const [who, changed] of Object.entries(said.rows)) {
    const row = world.rows.get(who) ?? {fresh: seen.has(who)};
    if (changed.number && row.number && changed.number !== row.number) for (const name of Object.keys(row)) delete row[name];
    for (const [name, value] of Object.entries(changed)) if (value === null) delete row[name]; else row[name] = value;
    world.rows.set(who, row);
  }
  for (const who of said.gone) world.rows.delete(who);
  for (const [at, who, old, next, cause, paragraph, own] of moves) {
    if (own && !$("show-own").checked) continue;
    chart.move(who, old, next, own);
    addMove(at, who, old, next, cause, paragraph);
  }
  if (said.unseen) $("moves").prepend(el("li", {className: "skip", textContent: `${exact.format(said.unseen)} more moves`}));
  while ($("moves").childElementCount > MOVES) $("moves").lastChild.remove();
  if (said.path) faults.show(said.path);
  if (said.states) chart.counts = said.states;
  if (said.total !== undefined) world.total = said.total;
  if (said.own !== undefined) $("own-count").textContent = said.own;
  if (Object.keys(said.layers).length) layers.update(said.layers);
  if (said.chosen && (said.chosen.who === world.chosen || !world.picked || !world.rows.has(world.chosen))) details(said.chosen);
  draw();
}

function details(said) {
  if (said.who !== world.chosen) Object.assign(world, {chosen: said.who, picked: false});  // the stack says which is new
  if (said.anew) { plots.anew(said); ladder.anew(said); }
  plots.add(said);
  ladder.add(said);
  chart.walked(said.moves);
}

function addMove(at, who, old, next, cause, paragraph) {
  const peer = who.split(" - ")[1] ?? who;
  const item = el("li", {title: `${who}: ${old} to ${next}, ${cause} (${paragraph})`},
    el("time", {textContent: seconds(at - world.began)}), dot(who),
    el("span", {className: "port", textContent: `:${peer.split(":").at(-1)}`}),
    el("b", {textContent: `${old} → ${next}`}), el("span", {className: "cause", textContent: `${cause} · ${paragraph.replace("RFC 9293 ", "§")}`}));
  item.addEventListener("click", () => choose(who));
  $("moves").prepend(item);
}

const dot = who => {
  const made = el("span", {className: "dot"});
  made.style.setProperty("--hue", hue(who));
  return made;
};

// What the page shows.

const shown = row => !row.own || $("show-own").checked;

function draw() {
  const rows = [...world.rows].filter(([, row]) => shown(row)).sort(([, a], [, b]) => order(a) - order(b) || (b.number ?? 0) - (a.number ?? 0));
  drawTable(rows);
  chart.update(world.rows, shown);
  chart.select(world.chosen);
  const row = world.rows.get(world.chosen);
  faults.select(row, world.chosen);
  drawFacts(row);
}

const order = row => ({listener: 0, connection: 1, "half-open": 1, "time-wait": 2, ended: 3})[row.kind] ?? 4;

const COLUMNS = [
  row => row.kind === "listener" ? `${row.local} listens` : row.remote,
  row => row.state,
  row => row.cwnd ?? "", row => row.in_flight ?? "", row => row.srtt ? micros(row.srtt) : "",
  row => row.kind === "connection" ? octets(row.send_q) : "", row => row.kind === "connection" ? octets(row.recv_q) : "",
  row => octets(row.snd_wnd), row => octets(row.rcv_wnd), row => row.retrans ?? "", row => octets(row.acked), row => octets(row.received),
];
const WIDE = new Set([7, 8, 10, 11]);

function drawTable(rows) {
  const body = $("table").tBodies[0];
  const have = new Map([...body.rows].map(tr => [tr.dataset.who, tr]));
  let before = null;
  for (const [who, row] of rows) {
    let tr = have.get(who);
    have.delete(who);
    if (!tr) {
      tr = el("tr", {tabIndex: -1}, ...COLUMNS.map((_, n) => el("td", {className: `${n > 1 ? "n" : ""}${WIDE.has(n) ? " wide" : ""}`})));
      tr.dataset.who = who;
      tr.cells[0].append(dot(who), el("span"));
    }
    const place = before ? before.nextSibling : body.firstChild;
    if (place !== tr) body.insertBefore(tr, place);
    before = tr;
    tr.className = `${row.kind}${row.own ? " own" : ""}${who === world.chosen ? " chosen" : ""}`;
    tr.setAttribute("aria-selected", who === world.chosen);
    COLUMNS.forEach((column, n) => {
      const cell = n ? tr.cells[n] : tr.cells[0].lastChild, text = String(column(row));
      if (cell.textContent !== text) cell.textContent = text;
    });
    tr.title = row.own ? `${who}: brings this page` : who;
    tr.cells[9].classList.toggle("bad", row.retrans > 0);
    tr.cells[1].classList.toggle("meddled", !!(row.held || row.shut));
    tr.cells[1].title = [row.held && "reading paused", row.shut && "window shut"].filter(Boolean).join(", ");
  }
  for (const tr of have.values()) tr.remove();
  const within = [...body.rows].find(tr => tr === document.activeElement);
  const entry = within ?? [...body.rows].find(tr => tr.dataset.who === world.chosen) ?? body.rows[0];
  for (const tr of body.rows) tr.tabIndex = tr === entry ? 0 : -1;  // one stop for Tab; arrows go on from there
  const alone = rows.every(([, row]) => row.kind === "listener");
  const more = world.total - rows.filter(([, row]) => row.kind !== "ended" && !row.own).length;
  const hint = $("hint");
  hint.hidden = !alone && !(more > 0);
  if (more > 0) hint.replaceChildren(`and ${exact.format(more)} more, not listed`);
  else if (alone && !hint.childElementCount) {
    hint.replaceChildren("Only this page talks to the stack. In a terminal: ", ...(world.tries ?? []).map(words => el("code", {textContent: words})));
  }
}

const FACTS = [
  ["state", row => row.state], ["cwnd", row => row.cwnd === undefined ? undefined : `${row.cwnd} segments of ${row.mss}`],
  ["ssthresh", row => row.cwnd === undefined ? undefined : row.ssthresh ?? "not set"], ["in flight", row => row.in_flight],
  ["SRTT", row => row.srtt && micros(row.srtt)], ["RTTVAR", row => row.srtt && micros(row.rttvar)], ["RTO", row => row.rto && micros(row.rto)],
  ["timer", row => row.timer && `${row.timer[0]} in ${micros(row.timer[1])}${row.timer[2] ? `, ${row.timer[2]} times` : ""}`],
  ["delivered at", row => row.delivery_rate && `${octets(row.delivery_rate)}/s`],
  ["loss state", row => row.ca_state], ["sent again", row => row.retrans], ["options", row => row.options?.join(" ")],
  ["segments sent", row => row.segments && exact.format(row.segments[0])], ["received", row => row.segments && exact.format(row.segments[1])],
  ["lived for", row => row.ended && micros(row.ended - row.began)],
];

function drawFacts(row) {
  const box = $("facts");
  $("chosen").textContent = row ? `${row.local} – ${row.remote}` : world.chosen ?? "no connection selected";
  if (!row) { box.replaceChildren(el("p", {className: "empty", textContent: "Select a connection in the table, or a token."})); $("meters").replaceChildren(); return; }
  box.replaceChildren(...FACTS.map(([name, of]) => [name, of(row)]).filter(([, value]) => value)
    .map(([name, value]) => el("span", {}, el("small", {textContent: name}), ` ${value}`)));
  $("meters").replaceChildren(...(row.kind === "connection" ? meters(row) : []));
}

function meters(row) {
  return [
    meter("send buffer", row.sndbuf, [[Math.min(row.out, row.send_q), "in flight", "wire"], [row.notsent, "not sent", "app"]], `peer's window ${octets(row.snd_wnd)}`, row.snd_wnd === 0),
    meter("receive buffer", row.rcvbuf, [[row.recv_q, "not read", "core"]], `our window ${octets(row.rcv_wnd)}${row.ooo ? `, ${row.ooo} segments beyond a gap` : ""}`, row.rcv_wnd === 0),
  ];
}

function meter(name, size, parts, aside, alarm) {
  const bar = el("span", {className: "bar"}, ...parts.map(([value, what, tone]) => {
    const part = el("i", {className: tone, title: `${what}: ${exact.format(value)} octets`});
    part.style.width = `${Math.min(100, 100 * value / size)}%`;
    return part;
  }));
  const words = parts.map(([value, what]) => `${octets(value)} ${what}`).join(", ");
  return el("div", {className: "meter"}, el("span", {textContent: name}), bar, el("span", {}, `${words} of ${octets(size)}; `, el(alarm ? "strong" : "span", {textContent: aside})));
}

function link(state, text) {
  $("link").dataset.state = state;
  if ($("link-text").textContent !== text) $("link-text").textContent = text;
}

// What the viewer does.

function choose(who) {
  if (world.rows.get(who)?.kind === "listener") return;
  world.chosen = who;
  world.picked = true;
  plots?.anew({first_at: 0});
  ladder.anew({who, first_at: 0});
  chart.walked([]);
  act({do: "choose", viewer: world.viewer, who});
  draw();
}

async function act(wish) {
  try {
    const answer = await fetch("inspect/do", {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(wish)});
    if (!answer.ok) faults.look.textContent = `The stack says no: ${(await answer.text()).trim()}.`;
  } catch {
    faults.look.textContent = "The stack did not answer.";
  }
}

const body = $("table").tBodies[0];
body.addEventListener("click", event => { const tr = event.target.closest("tr"); if (tr) choose(tr.dataset.who); });
body.addEventListener("keydown", event => {
  const tr = event.target.closest("tr");
  const next = {ArrowDown: tr.nextElementSibling, ArrowUp: tr.previousElementSibling}[event.key];
  if (next) { next.focus(); event.preventDefault(); }
  if (event.key === "Enter" || event.key === " ") { choose(tr.dataset.who); event.preventDefault(); }
});
$("show-own").addEventListener("change", draw);
$("freeze").addEventListener("click", () => {
  const waiting = frozen;
  frozen = waiting ? null : [];
  $("freeze").setAttribute("aria-pressed", !waiting);
  $("freeze").textContent = waiting ? "Freeze" : "Go on";
  link(waiting ? "live" : "late", waiting ? "live" : "frozen");
  waiting?.forEach(message => tick(JSON.parse(message)));
});
$("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const next = (root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  try { localStorage.setItem("netstack-theme", next); } catch { /* it lasts as long as the page */ }
  plots?.restyle();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots?.restyle());

const tabs = [...document.querySelectorAll("[role=tab]")];
for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (step) open(tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length]).focus();
  });
}
function open(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
  if (tab.id === "tab-graphs") plots?.fit();
  return tab;
}
