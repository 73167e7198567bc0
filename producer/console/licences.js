// The Licences part: the licence, pools, processors, and seats with the seconds that queued ones have left.
import { ask } from "./calls.js";
import { badge, count, drawTable, element, find, seconds, time } from "./draw.js";
import { showHistory, stopHistory } from "./history.js";
import { language, say, sayState } from "./words.js";

const ASK_MS = 2000;
const AUDIT_MS = 30000;
const AUDIT_SHOWN = 100;
const PAGE = 100;
const LIFE_SECONDS = 30;
const SOON_DAYS = 30;
const DAY_MS = 86400000;
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });

let offset = 0;
let total = 0;
let asking = null; // the timer of the next question
let askingAudit = null;
let counting = null;
let shown = 0; // how often it was shown: an answer for an earlier time is late

export const poolColumns = [
  ["pool", "name", (row) => row.pool],
  ["busy", "number", (row) => element("span", {}, count(row.inUse),
    element("meter", { min: 0, max: Math.max(row.limit, 1), value: row.inUse, ariaLabel: `${row.pool}: ${row.inUse} / ${row.limit}` }))],
  ["limit", "number", (row) => count(row.limit)],
  ["queued", "number", (row) => count(row.queued)],
  ["waiting", "number", (row) => count(row.waiting)],
  ["peak", "number", (row) => count(row.peak)],
  ["granted", "number", (row) => count(row.granted)],
  ["reused", "number", (row) => count(row.reused)],
  ["waivedCount", "number", (row) => count(row.waived)],
  ["escalatedCount", "number", (row) => count(row.escalated)],
  ["refused", "number", (row) => count(row.refused)],
  ["notifiedCount", "number", (row) => count(row.notified)],
];

function stateOf(seat) {
  if (seat.state !== "busy") {
    return seat.state;
  }
  if (seat.kind === "notified") {
    return "notified";
  }
  return seat.escalated ? "escalated" : "busy";
}

const label = (seat) => `L${seat.number}`;

// Counts down by itself between two answers: see countDown.
function showState(seat) {
  const made = element("span", {}, badge(stateOf(seat)));
  if (seat.state === "queued") {
    const ends = performance.now() + seat.lifeLeftSeconds * 1000;
    const left = element("span", { className: "left" });
    left.dataset.ends = String(ends);
    made.append(" ", left, element("meter", { min: 0, max: LIFE_SECONDS, ariaHidden: "true" }));
    showLeft(left);
  }
  return made;
}

function showLeft(left) {
  const rest = Math.max(0, (Number(left.dataset.ends) - performance.now()) / 1000);
  left.textContent = say("secondsLeft", Math.ceil(rest));
  left.nextElementSibling.value = rest;
}

function countDown() {
  document.querySelectorAll("#licence-seats .left").forEach(showLeft);
}

function releaseButton(seat) {
  if (!seat.token || seat.state !== "busy") {
    return "";
  }
  const button = element("button", { type: "button", ariaLabel: say("releaseOf", label(seat), seat.pool) }, say("release"));
  button.dataset.token = String(seat.token);
  button.addEventListener("click", () => confirmRelease(seat));
  return button;
}

const seatColumns = [
  ["processor", "name", (row) => row.processor],
  ["machine", "", (row) => row.host],
  ["user", "", (row) => row.user],
  ["agent", "", (row) => row.agent],
  ["production", "name", (row) => row.production],
  ["licenceId", "number", (row) => row.token || "–"],
  ["requestedPool", "", (row) => row.requestedPool],
  ["grantedPool", "", (row) => (row.state === "waiting" ? "–" : row.pool)],
  ["seatNumber", "", (row) => (row.state === "waiting" ? "–" : label(row))],
  ["seatState", "time", showState],
  ["since", "time", (row) => (row.since ? element("time", { dateTime: row.since }, time.format(new Date(row.since))) : "–")],
  ["idle", "number", (row) => (row.idleSeconds > 0 ? seconds(row.idleSeconds) : "–")],
  ["action", "", releaseButton],
];

const processorColumns = [
  ["processor", "name", (row) => row.name],
  ["agent", "", (row) => row.agent],
  ["machine", "", (row) => row.host],
  ["pid", "number", (row) => String(row.pid)],
  ["slot", "number", (row) => count(row.slot)],
  ["running", "number", (row) => count(row.productions)],
  ["lease", "number", (row) => seconds(row.leaseLeftSeconds)],
];

const auditColumns = [
  ["time", "time", (row) => element("time", { dateTime: row.at }, time.format(new Date(row.at)))],
  ["who", "name", (row) => row.who || "–"],
  ["what", "", (row) => sayState(row.what)],
  ["outcome", "message", (row) => row.detail],
];

function drawLicence(licence) {
  const until = licence.validUntil ? new Date(licence.validUntil) : null;
  const cards = [
    ["edition", licence.edition], ["keysUsed", `${count(licence.keysUsed)} / ${count(licence.keys)}`],
    ["validUntil", until ? day.format(until) : say("noDate")],
    ["customer", licence.customer || "–", "small"], ["contact", licence.contact || "–", "small"],
  ];
  find("licence").replaceChildren(...cards.map(([title, value, kind]) =>
    element("div", {}, element("dt", {}, say(title)), element("dd", { className: kind ?? "" }, value))));
  const days = until ? Math.floor((until - Date.now()) / DAY_MS) : Infinity;
  if (licence.inGrace) {
    notice("bad", say("inGrace", day.format(new Date(until.getTime() + licence.graceDays * DAY_MS))));
  } else if (days < SOON_DAYS) {
    notice("warn", say("endsSoon", count(days)));
  } else {
    notice("warn", licence.warning ?? "");
  }
}

// A sentence in a live region: set only when it is another, or it would be read out again and again.
function notice(kind, text, keep = false) {
  const place = find("licence-notice");
  if (place.dataset.keep && !keep) {
    return;
  }
  if (place.textContent !== text) {
    place.replaceChildren(text ? element("span", { className: `badge ${kind}` }, text) : "");
  }
}

// What was done is said for a while, whatever comes meanwhile.
function sayDone(kind, text) {
  const place = find("licence-notice");
  notice(kind, text, true);
  clearTimeout(Number(place.dataset.keep));
  place.dataset.keep = String(setTimeout(() => delete place.dataset.keep, 8000));
}

function draw(answer) {
  const token = document.activeElement?.dataset?.token;
  total = answer.seatsTotal;
  if (offset >= total && offset > 0) {
    offset = Math.max(0, Math.floor((total - 1) / PAGE) * PAGE);
  }
  drawLicence(answer.licence);
  drawTable("licence-pools", poolColumns, answer.pools, say("noSeats"));
  drawTable("licence-seats", seatColumns, answer.seats, say("noSeatsHeld"));
  drawTable("licence-processors", processorColumns, answer.processors, say("noProcessors"));
  find("seats-range").textContent = answer.seats.length ? say("range", count(offset + 1), count(offset + answer.seats.length), count(total)) : "";
  find("seats-before").disabled = offset === 0;
  find("seats-after").disabled = offset + PAGE >= total;
  if (token) {
    document.querySelector(`#licence-seats button[data-token="${token}"]`)?.focus();
  }
}

async function look() {
  const now = shown;
  clearTimeout(asking);
  try {
    const answer = await ask(`/v1/seats?offset=${offset}&limit=${PAGE}`);
    if (now === shown) {
      draw(answer);
    }
  } catch (error) {
    if (now === shown) {
      notice("bad", say("licenceAway", error.message));
    }
  }
  if (now === shown) {
    asking = setTimeout(look, ASK_MS + total); // the store makes a long list at once: it is asked for less often
  }
}

async function lookAtAudit() {
  const now = shown;
  clearTimeout(askingAudit);
  try {
    const answer = await ask(`/v1/seats/audit?limit=${AUDIT_SHOWN}`);
    if (now === shown) {
      drawTable("licence-audit", auditColumns, answer.entries, say("noAudit"));
    }
  } catch (error) {
    if (now === shown) {
      drawTable("licence-audit", auditColumns, [], error.message);
    }
  }
  if (now === shown) {
    askingAudit = setTimeout(lookAtAudit, AUDIT_MS);
  }
}

// Another page of seats, or the same again: what is on its way for the page before is dropped.
function turn(by) {
  offset = Math.max(0, offset + by);
  shown += 1;
  look();
  lookAtAudit();
}

function confirmRelease(seat) {
  const dialog = find("release");
  find("release-text").textContent = say("releaseText", label(seat), seat.pool, seat.processor, seat.production || "–");
  find("release-no").onclick = () => dialog.close();
  find("release-yes").onclick = async () => {
    dialog.close();
    try {
      await ask(`/v1/seats/${seat.token}/release`, { method: "POST", headers: { "X-Engenho-User": "console" } });
      sayDone("good", say("released", label(seat), seat.pool));
    } catch (error) {
      sayDone("bad", error.message);
    }
    turn(0);
  };
  dialog.showModal();
}

export function showLicences() {
  stopLicences();
  find("seats-before").onclick = () => turn(-PAGE);
  find("seats-after").onclick = () => turn(PAGE);
  counting = setInterval(countDown, 1000);
  look();
  lookAtAudit();
  showHistory();
}

export function stopLicences() {
  shown += 1;
  clearTimeout(asking);
  clearTimeout(askingAudit);
  stopHistory();
  clearInterval(counting);
  find("release").close();
}
