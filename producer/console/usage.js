// Closed minutes of use as the API tells them: read in pages to a limit, summed as they come, and written as CSV. Draws nothing.
import { ask } from "./calls.js";

const PAGE = 5000;
const RECORDS_MAX = 200000; // 31 days of four pools that are used each minute
const REFUSED_MAX = 2000; // minutes in which something was refused or waited: the newest so many are kept
const MINUTE_MS = 60000;

const SUMMED = ["granted", "reused", "escalated", "refused", "waited", "waitSeconds"];
const CSV_COLUMNS = [
  ["from", (row) => row.from], ["until", (row) => row.until], ["pool", (row) => row.pool], ["limit", (row) => row.limit],
  ["peak", (row) => row.peak], ["granted", (row) => row.granted], ["reused", (row) => row.reused], ["waived", (row) => row.waived],
  ["escalated", (row) => row.escalated], ["notified", (row) => row.notified], ["refused", (row) => row.refused],
  ["waited", (row) => row.waited], ["wait_seconds", (row) => decimal(row.waitSeconds)], ["overrun", (row) => row.overrun],
  ["refusals", (row) => row.refusals.map(({ reason, count }) => `${reason}=${count}`).join("; ")],
  ["holders", (row) => row.holders.map(({ processor, production, granted }) => `${holderName(processor, production, "others")}=${granted}`).join("; ")],
];

export function holderName(processor, production, others) {
  return processor ? `${processor}${production ? `/${production}` : ""}` : others;
}

// A number as the command line writes one that may have decimals: never without a point or an exponent.
function decimal(value) {
  if (value !== 0 && Math.abs(value) < 1e-4) {
    return value.toExponential().replace(/-(\d)$/, "-0$1");
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

function csvCell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function addTo(map, name, value) {
  map.set(name, (map.get(name) ?? 0) + value);
}

// Of a day, as rows of the heat-map are named; by this machine's clock, as people remember their days.
export function dayOf(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

function newPool(pool) {
  return { pool, limit: 0, peak: 0, granted: 0, reused: 0, escalated: 0, refused: 0, waited: 0, waitSeconds: 0, refusals: new Map(),
    holders: new Map(), hours: new Map(), minutesByPeak: new Map(), minutes: 0 };
}

// A minute that found its pool without seats is as full as one that used them all.
export function shareOf(peak, limit) {
  return limit > 0 ? peak / limit : Number(peak > 0);
}

export class Usage {
  constructor(sinceMs) {
    this.since = Math.floor(sinceMs / MINUTE_MS) * MINUTE_MS;
    this.after = "";
    this.known = new Set();
    this.pools = new Map();
    this.refused = []; // newest last
    this.refusedCount = 0;
    this.first = Infinity;
    this.last = 0;
    this.isCut = false; // there are more records than are read
  }

  // Reads what has come since the last time. `go` says whether anybody still wants it.
  async read(go) {
    while (!this.isCut) {
      const answer = await ask(`/v1/usage?from=${new Date(this.since).toISOString()}&limit=${PAGE}${this.after}`);
      if (!go() || answer.records.length === 0) {
        return;
      }
      answer.records.forEach((record) => this.add(record));
      this.after = `&after=${encodeURIComponent(answer.next)}`;
      this.isCut = this.known.size >= RECORDS_MAX;
    }
  }

  // A record that comes twice counts once.
  add(record) {
    if (this.known.has(record.id)) {
      return;
    }
    this.known.add(record.id);
    const at = new Date(record.from);
    const pool = this.pools.get(record.pool) ?? newPool(record.pool);
    this.pools.set(record.pool, pool);
    this.first = Math.min(this.first, at.getTime());
    this.last = Math.max(this.last, at.getTime());
    pool.limit = record.limit;
    pool.peak = Math.max(pool.peak, record.peak);
    SUMMED.forEach((name) => {
      pool[name] += record[name];
    });
    record.refusals.forEach(({ reason, count }) => addTo(pool.refusals, reason, count));
    record.holders.forEach(({ processor, production, granted }) => addTo(pool.holders, holderName(processor, production, ""), granted));
    pool.minutes += 1;
    addTo(pool.minutesByPeak, record.peak, 1);
    this.addHour(pool, at, record);
    if (record.refused > 0 || record.waited > 0) {
      this.refusedCount += 1;
      this.refused.push(record);
      if (this.refused.length > 2 * REFUSED_MAX) {
        this.refused.splice(0, REFUSED_MAX);
      }
    }
  }

  addHour(pool, at, record) {
    const key = dayOf(at) + at.getHours();
    const hour = pool.hours.get(key) ?? { peak: 0, limit: 0, share: -1, refused: 0 };
    const share = shareOf(record.peak, record.limit);
    pool.hours.set(key, hour);
    hour.refused += record.refused;
    if (share > hour.share) {
      Object.assign(hour, { peak: record.peak, limit: record.limit, share });
    }
  }

  // Minutes since the first record in which nothing of the pool was used: they leave no record.
  idleMinutes(pool) {
    return Math.max(0, Math.floor((Date.now() - this.first) / MINUTE_MS) - pool.minutes);
  }
}

// What `engenho usage export` writes of the same time.
export async function readCsv(sinceMs) {
  const rows = [];
  const known = new Set();
  let after = "";
  while (known.size < RECORDS_MAX) {
    const answer = await ask(`/v1/usage?from=${new Date(sinceMs).toISOString()}&limit=${PAGE}${after}`);
    if (answer.records.length === 0) {
      break;
    }
    for (const record of answer.records.filter(({ id }) => !known.has(id) && known.add(id))) {
      rows.push([`${record.from}\n${record.pool}`, CSV_COLUMNS.map(([, cell]) => csvCell(cell(record))).join(",")]);
    }
    after = `&after=${encodeURIComponent(answer.next)}`;
  }
  rows.sort(([a], [b]) => Number(a > b) - Number(a < b));
  return [CSV_COLUMNS.map(([title]) => title).join(","), ...rows.map(([, row]) => row), ""].join("\r\n");
}
