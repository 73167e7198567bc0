// What all parts of the page draw with. Plain DOM: nothing from the API is ever parsed as HTML.
import { language, say, sayState } from "./words.js";

const STATES = {
  succeeded: ["good", "✓"], skipped: ["none", "↷"], failed: ["bad", "✕"], timed_out: ["bad", "⏱"], crashed: ["bad", "⚡"],
  out_of_memory: ["bad", "▣"], cancelled: ["warn", "⊘"], unknown: ["none", "?"],
  busy: ["good", "●"], queued: ["none", "◔"], waiting: ["warn", "…"], escalated: ["warn", "↑"], notified: ["none", "·"], waived: ["none", "="],
  ok: ["good", "✓"], warn: ["warn", "▲"], stall: ["bad", "■"], stop: ["bad", "■"], rewind: ["warn", "↶"],
};

export const find = (id) => document.getElementById(id);
const number = new Intl.NumberFormat(language);
export const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", day: "2-digit", month: "2-digit" });

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function badge(word) {
  const [kind, icon] = STATES[word] ?? ["none", "?"];
  return element("span", { className: `badge ${kind}` }, element("span", { ariaHidden: "true" }, `${icon} `), sayState(word));
}

export function seconds(value) {
  if (value === null || value === undefined) {
    return "–";
  }
  if (value < 0.001) {
    return `${number.format(Math.round(value * 1e6))} µs`;
  }
  if (value < 1) {
    return `${number.format(Math.round(value * 1e3))} ms`;
  }
  return value < 120 ? `${number.format(Math.round(value * 10) / 10)} s` : `${number.format(Math.round(value / 60))} min`;
}

export const count = (value) => (value === null || value === undefined ? "–" : number.format(value));
export const shorten = (text, most = 120) => (text.length > most ? `${text.slice(0, most)}…` : text);

export function drawTable(id, columns, rows, empty) {
  const table = find(id);
  const head = table.tHead.rows[0];
  if (head.cells.length === 0) {
    head.append(...columns.map(([title, kind]) => element("th", { scope: "col", className: kind }, say(title))));
  }
  const body = rows.map((row) => {
    const cells = columns.map(([, kind, show]) => element("td", { className: kind }, show(row) ?? ""));
    const line = element("tr", {}, ...cells);
    if (row.isNew) {
      line.className = "new";
      row.isNew = false;
    }
    return line;
  });
  if (body.length === 0) {
    body.push(element("tr", {}, element("td", { className: "empty", colSpan: columns.length }, empty)));
  }
  table.tBodies[0].replaceChildren(...body);
}
