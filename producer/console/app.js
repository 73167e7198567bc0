// The console's page: executions, failures, lag and seats, live; and the way to its other parts.
import { ask, call, setToken } from "./calls.js";
import { badge, count, drawTable, element, find, seconds, shorten, time } from "./draw.js";
import { poolColumns, showLicences, stopLicences } from "./licences.js";
import { language, say, sayState } from "./words.js";

const EXECUTIONS_SHOWN = 50;
const FAILURES_SHOWN = 20;
const DRAW_MS = 250;
const RETRY_MS_MAX = 10000;
const state = { executions: [], failures: [], ends: [], lag: null, seats: null, seatsError: "", cursor: null, newest: 0, dirty: new Set() };
let stopStream = null;

const isFailure = (result) => result.outcome !== "succeeded" && result.outcome !== "skipped";

// Server-sent events by fetch: EventSource can't send the token.
async function readStream(signal, handle, opened) {
  const after = state.cursor ? `?after=${encodeURIComponent(state.cursor)}` : "";
  const answer = await call(`/v1/stream${after}`, { signal });
  if (!answer.ok) {
    throw new Error((await answer.json()).error);
  }
  opened();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return;
    }
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const event = {};
      for (const line of text.slice(0, end).split("\n")) {
        const colon = line.indexOf(": ");
        event[line.slice(0, colon)] = line.slice(colon + 2);
      }
      text = text.slice(end + 2);
      handle(event);
    }
  }
}

// Columns: [title, class, (row) => text or node].
const executionColumns = [
  ["end", "time", (row) => element("time", { dateTime: row.end }, time.format(new Date(row.end)))],
  ["production", "name", (row) => row.production || `${row.application ?? ""} (${say("onDemand")})`],
  ["agent", "", (row) => row.agent],
  ["trigger", "", (row) => sayState(row.trigger)],
  ["outcome", "", (row) => badge(row.outcome)],
  ["elapsed", "number", (row) => seconds(row.elapsedSeconds)],
  ["attempt", "number", (row) => count(row.attempt)],
  ["seat", "", (row) => (row.seat ? `${row.seat.pool} ${row.seat.waived ? say("waived") : `L${row.seat.number}`}` : "–")],
  ["result", "message", (row) => (row.result === undefined ? shorten(row.output ?? "") : shorten(JSON.stringify(row.result)))],
];
const failureColumns = [
  ...executionColumns.slice(0, 3), executionColumns[4], executionColumns[6],
  ["error", "message", (row) => `${row.errorClass ?? ""}${row.error ? `: ${shorten(row.error, 200)}` : ""}${row.deadLetter ? ` (${say("deadLetter")})` : ""}`],
];
const lagColumns = [
  ["agent", "", (row) => row.agent],
  ["topic", "name", (row) => row.topic],
  ["partition", "number", (row) => count(row.partition)],
  ["committed", "number", (row) => count(row.committed)],
  ["endOffset", "number", (row) => count(row.end)],
  ["records", "number", (row) => count(row.lag)],
  ["seconds", "number", (row) => seconds(row.lagSeconds)],
  ["status", "", (row) => badge(row.status ?? "unknown")],
];
const leftToLicences = ["reused", "escalatedCount", "notifiedCount"];
const seatColumns = poolColumns.filter(([title]) => !leftToLicences.includes(title));

function lagRows() {
  const rows = [];
  for (const agent of state.lag?.agents ?? []) {
    for (const topic of agent.topics ?? []) {
      for (const partition of topic.partitions ?? []) {
        rows.push({ agent: agent.agent, topic: topic.topic, ...partition });
      }
    }
  }
  return rows;
}

function drawCards() {
  const minute = Date.now() - 60000;
  state.ends = state.ends.filter(([at]) => at >= minute);
  const failures = state.ends.filter(([, failed]) => failed).length;
  const worst = Math.max(0, ...lagRows().map((row) => row.lagSeconds ?? 0));
  const pools = state.seats?.pools ?? [];
  const used = pools.reduce((sum, pool) => sum + pool.inUse, 0);
  const limit = pools.reduce((sum, pool) => sum + pool.limit, 0);
  const cards = [
    ["perMinute", count(state.ends.length)],
    ["failed", count(failures)],
    ["maxLag", state.lag ? seconds(worst) : "–"],
    ["inUse", pools.length ? `${count(used)} / ${count(limit)}` : "–"],
    ["age", state.newest ? say("ago", seconds(Math.max(0, Math.round((Date.now() - state.newest) / 1000)))) : say("never")],
  ];
  find("cards").replaceChildren(...cards.map(([title, value]) => element("div", {}, element("dt", {}, say(title)), element("dd", {}, value))));
}

function draw() {
  const { dirty } = state;
  if (dirty.has("executions")) {
    drawTable("executions", executionColumns, state.executions, say("noExecutions"));
  }
  if (dirty.has("failures")) {
    drawTable("failures", failureColumns, state.failures, say("noFailures"));
  }
  if (dirty.has("lag")) {
    drawTable("lag", lagColumns, lagRows(), say("noLag"));
  }
  if (dirty.has("seats")) {
    drawTable("seats", seatColumns, state.seats?.pools ?? [], state.seatsError || say("noSeats"));
  }
  dirty.clear();
}

function connection(word, kind) {
  const place = find("connection");
  const icon = { good: "●", warn: "◌", bad: "✕" }[kind];
  if (place.dataset.word !== word) {
    place.dataset.word = word;
    place.replaceChildren(element("span", { className: `badge ${kind}` }, element("span", { ariaHidden: "true" }, `${icon} `), say(word)));
  }
}

// --- what comes in

function addResult(result, isNew) {
  const end = Date.parse(result.end);
  state.newest = Math.max(state.newest, end);
  state.ends.push([end, isFailure(result)]);
  state.executions.unshift({ ...result, isNew });
  state.executions.length = Math.min(state.executions.length, EXECUTIONS_SHOWN);
  state.dirty.add("executions");
  if (isFailure(result)) {
    state.failures.unshift({ ...result, isNew });
    state.failures.length = Math.min(state.failures.length, FAILURES_SHOWN);
    state.dirty.add("failures");
  }
}

function setSeats(seats) {
  state.seatsError = seats.error ?? "";
  state.seats = seats.error ? null : seats;
  state.dirty.add("seats");
}

function handleEvent(event) {
  state.cursor = event.id ?? state.cursor;
  if (event.event === "result") {
    addResult(JSON.parse(event.data), true);
  } else if (event.event === "lag") {
    state.lag = JSON.parse(event.data);
    state.dirty.add("lag");
  } else if (event.event === "seats") {
    setSeats(JSON.parse(event.data));
  }
}

async function loadPast() {
  const [results, failures] = await Promise.all([ask(`/v1/results?limit=${EXECUTIONS_SHOWN}`), ask(`/v1/results?failed=true&limit=${FAILURES_SHOWN}`)]);
  Object.assign(state, { executions: [], ends: [], newest: 0, cursor: results.next });
  results.results.forEach((result) => addResult(result, false));
  state.failures = failures.results.reverse();
  ["executions", "failures", "lag", "seats"].forEach((table) => state.dirty.add(table));
}

async function follow(signal) {
  let wait = 500;
  while (!signal.aborted) {
    try {
      if (state.cursor === null) {
        await loadPast();
      }
      await readStream(signal, handleEvent, () => {
        wait = 500;
        connection("live", "good");
      });
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      if (error.unauthorised) {
        leave(error.message);
        return;
      }
    }
    connection("lost", "bad");
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, RETRY_MS_MAX);
  }
}

// --- parts of the page, by the address's fragment

function showPart() {
  const isLicences = location.hash === "#licences" || (location.hash === "#main" && !find("licences").hidden);
  if (find("console").hidden || (isLicences && !find("licences").hidden)) {
    return;
  }
  find("overview").hidden = isLicences;
  find("licences").hidden = !isLicences;
  document.querySelectorAll("nav a").forEach((link) => {
    link.ariaCurrent = link.hash === (isLicences ? "#licences" : "#overview") ? "page" : null;
  });
  (isLicences ? showLicences : stopLicences)();
}

// --- in and out

function enter() {
  find("login").hidden = true;
  find("console").hidden = false;
  find("leave").hidden = false;
  find("parts").hidden = false;
  showPart();
  connection("connecting", "warn");
  ["executions", "failures", "lag", "seats"].forEach((table) => state.dirty.add(table));
  const abort = new AbortController();
  const drawing = setInterval(draw, DRAW_MS);
  const cards = setInterval(drawCards, 1000);
  stopStream = () => {
    abort.abort();
    clearInterval(drawing);
    clearInterval(cards);
  };
  draw();
  drawCards();
  follow(abort.signal);
}

function leave(message = "") {
  stopStream?.();
  stopLicences();
  stopStream = null;
  sessionStorage.removeItem("token");
  setToken(null);
  state.cursor = null;
  find("console").hidden = true;
  find("leave").hidden = true;
  find("parts").hidden = true;
  find("connection").replaceChildren();
  delete find("connection").dataset.word;
  find("login").hidden = false;
  find("login-error").textContent = message;
  find("token").focus();
}

async function tryToken(given) {
  setToken(given);
  const { version } = await ask("/v1/version");
  sessionStorage.setItem("token", given);
  find("footer").textContent = `Engenho ${version}`;
  enter();
}

async function start() {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((place) => {
    place.textContent = say(place.dataset.text);
  });
  find("leave").addEventListener("click", () => leave());
  addEventListener("hashchange", showPart);
  find("login").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await tryToken(find("token").value.trim());
      find("token").value = "";
    } catch (error) {
      leave(error.unauthorised ? error.message : say("unreachable"));
    }
  });
  // A link of `engenho up` brings the token in the fragment, which no server sees; it is taken out of the address at once.
  const fragment = new URLSearchParams(location.hash.slice(1)).get("token");
  if (fragment) {
    history.replaceState(null, "", location.pathname);
  }
  const known = fragment ?? sessionStorage.getItem("token");
  if (!known) {
    leave();
    return;
  }
  try {
    await tryToken(known);
  } catch (error) {
    leave(error.unauthorised ? error.message : say("unreachable"));
  }
}

start();
