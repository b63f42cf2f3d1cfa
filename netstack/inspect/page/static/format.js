// Numbers as people read them. Nothing is rounded away that a capture would show: titles have the exact figure.

export const exact = new Intl.NumberFormat("en");

export function octets(n) {
  if (n === undefined || n === null) return "";
  if (n < 10_000) return exact.format(n);
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (n >= size) return `${(n / size).toPrecision(3)} ${unit}`;
  }
}

export function micros(us) {
  if (us === undefined || us === null) return "";
  if (us < 1_000) return `${us} µs`;
  if (us < 1_000_000) return `${(us / 1e3).toPrecision(3)} ms`;
  return `${(us / 1e6).toPrecision(us < 1e8 ? 3 : 4)} s`;
}

export const seconds = us => (us / 1e6).toFixed(6);
export const percent = share => `${+(share * 100).toFixed(1)} %`;
export const bits = rate => rate ? `${+(rate / 1e6).toPrecision(3)} Mbit/s` : "no limit";

// A colour for a connection, by its peer's port: neighbours are far apart on the wheel.
export const hue = who => (+(who.match(/:(\d+)$/)?.[1] ?? 0) * 137.508 + 200) % 360;

export const el = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value; else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};
