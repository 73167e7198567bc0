// The licence history of the Licences part: use by pool, a heat-map, how often how much was used, what was refused, and all of it as CSV.
import { count, drawTable, element, find, seconds, time } from "./draw.js";
import { Usage, dayOf, holderName, readCsv, shareOf } from "./usage.js";
import { language, say, sayState } from "./words.js";

const ASK_MS = 60000;
const ANEW_MS = 3600000; // the first minutes of the period are over: all is read again
const DAY_MS = 86400000;
const HOLDERS_SHOWN = 5;
const REFUSED_SHOWN = 200;
const ROWS_BY_SEAT = 20; // a limit up to this has a row for each number of seats, a larger one ten ranges
const HEAT = [0, 0.25, 0.5, 0.8]; // shares of the limit up to which a colour goes; then those below it, and all
const dayName = new Intl.DateTimeFormat(language, { weekday: "short", day: "2-digit", month: "2-digit" });
const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });

let usage = null;
let days = 7;
let chosen = null; // the pool that was asked for
let asking = null;
let began = 0; // when `usage` was read from its start
let shown = 0; // how often it was shown or chosen anew: what is on its way for an earlier time is dropped

// "12: pool_limit 9, edition_limit 3", the largest first.
function counts(sum, named, most = Infinity) {
  const entries = [...named].filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]);
  const shownOnes = entries.slice(0, most).map(([name, value]) => `${name ? sayState(name) : say("others")} ${count(value)}`);
  return entries.length ? `${count(sum)}: ${shownOnes.join(", ")}${entries.length > most ? ", …" : ""}` : count(sum);
}

function showWaited(row) {
  return row.waited ? say("waitedMean", count(row.waited), seconds(row.waitSeconds / row.waited)) : "0";
}

const usageColumns = [
  ["pool", "name", (row) => row.pool],
  ["peak", "number", (row) => `${count(row.peak)} / ${count(row.limit)}`],
  ["granted", "number", (row) => count(row.granted)],
  ["reused", "number", (row) => count(row.reused)],
  ["escalatedCount", "number", (row) => count(row.escalated)],
  ["refused", "message", (row) => counts(row.refused, row.refusals)],
  ["waitedCount", "number", showWaited],
  ["holders", "message", (row) => counts(row.granted, row.holders, HOLDERS_SHOWN)],
];

const refusedColumns = [
  ["minute", "time", (row) => element("time", { dateTime: row.from }, time.format(new Date(row.from)))],
  ["pool", "name", (row) => row.pool],
  ["refused", "number", (row) => count(row.refused)],
  ["waitedCount", "number", showWaited],
  ["reason", "message", (row) => row.refusals.map(({ reason, count: times }) =>
    (row.refusals.length > 1 ? `${sayState(reason)} ${count(times)}` : sayState(reason))).join(", ")],
  ["peak", "number", (row) => `${count(row.peak)} / ${count(row.limit)}`],
  ["holdersThen", "message", (row) => row.holders.map(({ processor, production, granted }) =>
    `${holderName(processor, production, say("others"))} ${granted ? count(granted) : say("sinceBefore")}`).join(", ") || "–"],
];

const hidden = (text) => element("span", { className: "visually-hidden" }, text);

// --- the heat-map

function heatOf(share) {
  const step = HEAT.findIndex((most) => share <= most);
  return step >= 0 ? step : HEAT.length + Number(share >= 1);
}

function drawHour(hour, isPast) {
  if (!hour) {
    return element("td", { className: isPast ? "heat-0" : "" }, isPast ? "0" : "");
  }
  const cell = element("td", { className: `heat-${heatOf(hour.share)}`, title: say("heatCell", count(hour.peak), count(hour.limit), count(hour.refused)) },
    count(hour.peak));
  if (hour.refused > 0) {
    cell.append(element("span", { className: "denied", ariaHidden: "true" }, "✕"), hidden(` ${say("heatRefused", count(hour.refused))}`));
  }
  return cell;
}

function drawHeat(pool) {
  const now = Date.now();
  const rows = [];
  const first = Math.max(usage.since, usage.first);
  for (let at = new Date(dayOf(new Date(now))); at.getTime() + DAY_MS > first && rows.length <= days; at.setDate(at.getDate() - 1)) {
    const midnight = at.getTime();
    const cells = Array.from({ length: 24 }, (_, hour) => {
      const start = new Date(at.getFullYear(), at.getMonth(), at.getDate(), hour).getTime();
      return drawHour(pool.hours.get(midnight + hour), start <= now && start + 3600000 > first);
    });
    rows.push(element("tr", {}, element("th", { scope: "row", className: "time" }, dayName.format(at)), ...cells));
  }
  const head = find("heat").tHead.rows[0];
  if (head.cells.length === 0) {
    head.append(element("th", { scope: "col" }, say("day")), ...Array.from({ length: 24 }, (_, hour) => element("th", { scope: "col" }, String(hour).padStart(2, "0"))));
  }
  find("heat").tBodies[0].replaceChildren(...rows);
  find("heat-caption").textContent = say("heat", pool.pool, count(pool.limit));
}

function drawLegend() {
  const words = ["0", ...HEAT.slice(1).map((most) => `≤ ${percent.format(most)}`), `< ${percent.format(1)}`, percent.format(1)];
  find("heat-legend").replaceChildren(...words.map((word, step) => element("li", {}, element("span", { className: `heat-${step}` }, word))),
    element("li", {}, element("span", { className: "denied" }, "✕"), ` ${say("refused")}`));
}

// --- how often how much

function histogramRows(pool) {
  const each = pool.limit <= ROWS_BY_SEAT;
  const last = each ? pool.limit : 10;
  const rows = Array.from({ length: last + 1 }, (_, index) => {
    const least = each ? index : Math.floor(((index - 1) * pool.limit) / 10) + 1;
    const most = each ? index : Math.floor((index * pool.limit) / 10);
    return { seats: index === 0 ? "0" : each ? count(index) : `${count(least)} – ${count(most)}`, most: index === 0 ? 0 : most, minutes: 0, isAll: index === last };
  });
  rows[0].minutes = usage.idleMinutes(pool);
  for (const [peak, minutes] of pool.minutesByPeak) {
    (rows.find(({ most }) => peak <= most) ?? rows[last]).minutes += minutes; // above a limit that was lowered: all of it
  }
  const sum = rows.reduce((minutes, row) => minutes + row.minutes, 0);
  return rows.map((row) => ({ ...row, share: sum > 0 ? row.minutes / sum : 0 }));
}

const histogramColumns = [
  ["seatsAtOnce", "number", (row) => (row.isAll && row.most > 0 ? say("allSeats", row.seats) : row.seats)],
  ["minutes", "number", (row) => count(row.minutes)],
  ["shareOfTime", "number", (row) => element("span", {}, percent.format(row.share), element("meter", { min: 0, max: 1, value: row.share, ariaHidden: "true" }))],
];

// --- all of it

function choosePool() {
  const pools = [...usage.pools.values()].sort((a, b) => a.pool.localeCompare(b.pool));
  const worst = [...pools].sort((a, b) => b.refused - a.refused || shareOf(b.peak, b.limit) - shareOf(a.peak, a.limit))[0];
  const pool = usage.pools.get(chosen) ?? worst;
  const select = find("history-pool");
  const names = pools.map((known) => known.pool);
  if ([...select.options].map((option) => option.value).join("\n") !== names.join("\n")) {
    select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  }
  select.value = pool?.pool ?? "";
  select.disabled = pools.length === 0;
  return [pools, pool];
}

function tell(text, kind = "") {
  const place = find("history-notice");
  if (place.textContent !== text) {
    place.replaceChildren(text && kind ? element("span", { className: `badge ${kind}` }, text) : text);
  }
}

function draw() {
  const [pools, pool] = choosePool();
  drawTable("licence-usage", usageColumns, pools, say("noUsage"));
  find("history-details").hidden = !pool;
  find("history-csv").disabled = !pool;
  if (!pool) {
    return;
  }
  drawHeat(pool);
  drawLegend();
  drawTable("histogram", histogramColumns, histogramRows(pool), "");
  find("histogram-caption").textContent = say("histogram", pool.pool);
  const refused = usage.refused.slice(-REFUSED_SHOWN).reverse();
  drawTable("refusals", refusedColumns, refused, say("noRefusals"));
  find("refusals-range").textContent = usage.refusedCount > refused.length ? say("newestOf", count(refused.length), count(usage.refusedCount)) : "";
}

async function look() {
  const now = shown;
  clearTimeout(asking);
  try {
    if (!usage || Date.now() - began > ANEW_MS) {
      began = Date.now();
      usage = new Usage(began - days * DAY_MS);
      tell(say("reading"));
    }
    await usage.read(() => now === shown);
    if (now === shown) {
      draw();
      tell(usage.isCut ? say("usageCut", count(usage.known.size), time.format(new Date(usage.last))) : "", "warn");
    }
  } catch (error) {
    if (now === shown) {
      draw();
      tell(say("usageAway", error.message), "bad");
    }
  }
  if (now === shown) {
    asking = setTimeout(look, ASK_MS);
  }
}

async function download() {
  const button = find("history-csv");
  button.disabled = true;
  try {
    const text = await readCsv(usage.since);
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    const name = `engenho-usage-${new Date(usage.since).toISOString().slice(0, 10)}-${new Date().toISOString().slice(0, 10)}.csv`;
    element("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), ASK_MS);
  } catch (error) {
    tell(say("usageAway", error.message), "bad");
  }
  button.disabled = false;
}

// A choice was made: look now.
function lookAgain(anew = false) {
  shown += 1;
  usage = anew ? null : usage;
  look();
}

export function showHistory() {
  find("history-period").value = String(days);
  find("history-period").onchange = (event) => {
    days = Number(event.target.value);
    lookAgain(true);
  };
  find("history-pool").onchange = (event) => {
    chosen = event.target.value;
    draw();
  };
  find("history-csv").onclick = download;
  lookAgain();
}

export function stopHistory() {
  shown += 1;
  clearTimeout(asking);
}
