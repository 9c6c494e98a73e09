"use strict";
// Everything from the upload reaches the page through textContent: nothing of it is parsed as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(data.rows.map((row) => [row.id, row]));
const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const points = (value) => (value === null ? "" : String(Math.round(value * 100) / 100));
const signed = (value) => (value === null ? "" : (value > 0 ? "+" : value < 0 ? "−" : "") + points(Math.abs(value)));
const direction = (value) => (value > 0 ? "up" : value < 0 ? "down" : "");
const changed = (test) => test.now !== null && test.before !== null && test.now !== test.before;
const addressOf = (id) => `#id=${encodeURIComponent(id)}`;
const link = (id) => Object.assign(element("a", id), { href: addressOf(id) });

// A row of the large table is made once, when it is first shown.
function strip(row) {
  const cell = element("span", undefined, "strip");
  const tests = row.tests.filter((test) => test.now !== null && test.max > 0);
  const width = 100 / (tests.length || 1);
  const stops = tests.flatMap((test, index) => {
    const colour = `var(--${test.kind})`;
    const [from, to] = [index * width, (index + 1) * width];
    return [`${colour} ${from}% ${to - width * 0.12}%`, `transparent ${to - width * 0.12}% ${to}%`];
  });
  if (tests.length) cell.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  const missed = tests.filter((test) => test.now < test.max).map((test) => data.tests[test.test]);
  cell.title = missed.length ? `points lost in: ${missed.join("; ")}` : "full points everywhere";
  return cell;
}

function makeRow(row) {
  const line = element("tr");
  line.dataset.id = row.id;
  const opener = element("button", row.id, "link");
  line.append(element("td"));
  line.lastChild.append(opener);
  if (!data.anonymous) {
    const who = element("td", undefined, "who");
    if (!row.people.length) who.append(element("bdi", row.folder, "muted"));
    row.people.forEach((person, index) => who.append(index ? ", " : "", element("bdi", person[0] || person[2] || person[1])));
    line.append(who);
  }
  line.append(element("td", points(row.before), "number"), element("td", points(row.now), "number"));
  line.append(element("td", signed(row.change), `number ${direction(row.change)}`));
  line.append(element("td"));
  line.lastChild.append(row.now === null ? "" : strip(row));
  line.append(element("td"));
  line.lastChild.append(element("span", row.status, row.status === "graded" ? "pill" : "pill odd"));
  line.append(element("td", row.diagnoses.map((index) => data.mistakes[index]).join(", "), "why muted"));
  return line;
}

const columns = {
  id: (row) => row.order,
  who: (row) => row.people.map((person) => person.join(" ")).join(" ").toLowerCase(),
  before: (row) => row.before,
  now: (row) => row.now,
  change: (row) => row.change,
  tests: (row) => row.tests.filter((test) => test.kind === "full").length,
  status: (row) => row.severity,
  why: (row) => row.diagnoses.map((index) => data.mistakes[index]).join(", "),
};
const state = { sort: null, down: false, text: "", status: "", change: "", test: "", ids: null, idsName: "", visible: [] };
const body = document.querySelector("#all tbody");
const collator = new Intl.Collator();

// What wants looking at first: faults, time-outs, the largest changes.
const urgent = (a, b) => a.severity - b.severity || Math.abs(b.change ?? 0) - Math.abs(a.change ?? 0) || a.order - b.order;
function compare(a, b) {
  if (!state.sort) return urgent(a, b);
  const [left, right] = [columns[state.sort](a), columns[state.sort](b)];
  if (left === right) return a.order - b.order;
  if (left === null || right === null) return left === null ? 1 : -1; // nothing comes last either way
  const order = typeof left === "string" ? collator.compare(left, right) : left - right;
  return order * (state.down ? -1 : 1) || a.order - b.order;
}

// Without accents and capitals: "garcia" finds "García".
const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
function haystack(row) {
  row.text ??= folded([
    row.id, `submission_${row.id}`, row.folder, row.status, ...row.people.flat(), ...row.reasons,
    ...row.diagnoses.map((index) => data.mistakes[index]),
    ...[row, ...row.tests].flatMap((one) => [data.texts[one.newText], data.texts[one.oldText]]),
  ].join("\n"));
  return row.text;
}
const reworded = (test) => data.texts[test.newText] !== data.texts[test.oldText];
const kinds = {
  any: (row) => Boolean(row.change),
  up: (row) => row.change > 0,
  down: (row) => row.change < 0,
  verdict: (row) => row.tests.some((test) => test.now !== null && test.before !== null && (test.kind === "full") !== test.passedBefore),
  points: (row) => !kinds.verdict(row) && row.tests.some(changed),
  message: (row) => row.tests.some((test) => test.before !== null && reworded(test)) && !row.tests.some(changed),
};
function shows(row) {
  if (state.ids && !state.ids.has(row.id)) return false;
  if (state.status && row.status !== state.status) return false;
  if (state.change && !kinds[state.change](row)) return false;
  if (state.test) {
    const [how, index] = state.test.split(" ");
    const test = row.tests.find((one) => one.test === Number(index));
    if (!test || (how === "lost" ? test.now === null || test.now >= test.max : !changed(test))) return false;
  }
  return folded(state.text).split(/\s+/).every((word) => haystack(row).includes(word));
}

// The table grows as it is scrolled: to lay out thousands of rows takes seconds.
const STEP = 150;
function extend(count = STEP) {
  const from = body.rows.length;
  body.append(...state.visible.slice(from, from + count).map((row) => (row.line ??= makeRow(row))));
}
const scroller = document.querySelector(".tall");
scroller.addEventListener("scroll", () => scroller.scrollTop + 2 * scroller.clientHeight > scroller.scrollHeight && extend());
addEventListener("beforeprint", () => extend(Infinity));

function draw() {
  state.visible = data.rows.filter(shows).sort(compare);
  body.replaceChildren();
  extend();
  document.getElementById("count").textContent = `${state.visible.length} of ${data.rows.length}`;
  document.getElementById("none").hidden = state.visible.length > 0;
  const chip = document.getElementById("chip");
  chip.hidden = !state.ids;
  chip.textContent = `only: ${state.idsName} ✕`;
  for (const head of document.querySelectorAll("#all th")) {
    const order = head.dataset.sort === state.sort ? (state.down ? "descending" : "ascending") : "none";
    head.setAttribute("aria-sort", order);
  }
}

// One submission, opened by its address: report.html#id=123
function message(title, index) {
  const box = element("div", undefined, index < 0 ? "quiet" : "");
  box.append(element("div", title, "muted"), element("pre", index < 0 ? "(no message)" : data.texts[index]));
  return box;
}
// Either is null if it has no place there. What has not changed is shown once.
function messages(old, now) {
  const box = element("div", undefined, "messages");
  if (old !== null && old === now && old >= 0) box.append(message("before and now", now));
  else {
    if (old !== null) box.append(message("before", old));
    if (now !== null) box.append(message("now", now));
  }
  return box;
}
function makeTest(test) {
  const box = element("div", undefined, `test is-${test.kind}`);
  const head = element("h3", data.tests[test.test] ?? test.title);
  const of = `${points(test.now)} of ${points(test.max)}`;
  const score = element("span", test.now === null ? `${points(test.before)} before, not there now` : changed(test) ? `${points(test.before)} → ${of}` : of);
  if (changed(test)) score.className = direction(test.now - test.before);
  head.append(score);
  box.append(head);
  const both = changed(test) || (test.oldText >= 0 && test.newText >= 0);
  const [old, now] = [test.before !== null && (test.oldText >= 0 || both), test.now !== null && (test.newText >= 0 || both)];
  box.append(messages(old ? test.oldText : null, now ? test.newText : null));
  return box;
}
function person(parts) {
  const line = element("p");
  parts.filter(Boolean).forEach((part, index) => line.append(index ? " · " : "", element("bdi", part)));
  return line;
}
function sameAs(id, group, index) {
  const line = element("p", `Same ${group.signals} as `, "muted");
  const others = group.ids.filter((other) => other !== id);
  others.slice(0, 8).forEach((other, at) => line.append(at ? ", " : "", link(other)));
  const all = element("button", others.length > 8 ? `and ${others.length - 8} more` : "in the table", "link");
  all.dataset.show = `group ${index}`;
  line.append(others.length > 8 ? " " : " – ", all);
  return line;
}
const dialog = document.querySelector("dialog");
function open(name) {
  const id = byId.has(name) ? name : name.replace(/^submission_/, "");
  const row = byId.get(id);
  if (!row) return;
  const at = state.visible.indexOf(row);
  const go = (label, step) => {
    const button = element("button", label);
    const target = state.visible[at + step];
    button.disabled = at < 0 || !target;
    button.addEventListener("click", () => (location.hash = addressOf(target.id)));
    return button;
  };
  const focused = dialog.open && dialog.contains(document.activeElement) ? document.activeElement.textContent : "";
  const close = element("button", "Close");
  close.autofocus = true;
  close.addEventListener("click", () => dialog.close());
  const head = element("header");
  head.append(element("h2", row.id), go("‹ Previous", -1), go("Next ›", 1), close);
  const facts = element("p");
  if (row.change === 0) facts.append(`${points(row.now)} points, as before `);
  else facts.append(`${points(row.before) || "–"} → ${points(row.now) || "–"} points `, element("b", signed(row.change), direction(row.change)), " ");
  facts.append(element("span", row.status, row.status === "graded" ? "pill" : "pill odd"));
  if (row.now !== null) facts.append(" ", Object.assign(element("a", "Code, pictures and messages on a page of their own"), { href: `pages/${encodeURIComponent(row.id)}.html` }));
  const parts = [head, ...row.people.map(person), facts];
  const handed = [row.created && `handed in ${row.created.replace(/\.\d+/, "")}`, row.attempts && `${row.attempts} earlier attempt${row.attempts > 1 ? "s" : ""}`].filter(Boolean);
  if (handed.length) parts.push(element("p", handed.join(", "), "muted"));
  parts.push(...row.reasons.map((reason) => element("p", reason, "attention")));
  if (row.diagnoses.length) parts.push(element("p", `Recognised: ${row.diagnoses.map((index) => data.mistakes[index]).join(", ")}`));
  data.groups.forEach((group, index) => group.ids.includes(id) && parts.push(sameAs(id, group, index)));
  if (row.newText >= 0 || row.oldText >= 0) {
    const above = element("div", undefined, "test");
    above.append(element("h3", "Above the tests"), messages(row.oldText < 0 ? null : row.oldText, row.now === null ? null : row.newText));
    parts.push(above);
  }
  const first = (test) => (changed(test) ? 0 : test.now !== null && test.now < test.max ? 1 : 2);
  parts.push(...[...row.tests].sort((a, b) => first(a) - first(b)).map(makeTest));
  dialog.replaceChildren(...parts);
  dialog.scrollTop = 0;
  if (!dialog.open) dialog.showModal();
  else ([...head.querySelectorAll("button:enabled")].find((button) => button.textContent === focused) ?? close).focus();
}
function follow() {
  const match = location.hash.match(/^#(?:id=)?(.+)$/); // report.html#310001 and #submission_310001 do as well
  if (match) open(decodeURIComponent(match[1]));
  else if (dialog.open) dialog.close();
}
dialog.addEventListener("close", () => location.hash && history.replaceState(null, "", location.pathname + location.search));
dialog.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: 0, ArrowRight: 1 }[event.key];
  if (step !== undefined && !event.altKey && !event.ctrlKey && !event.metaKey) dialog.querySelectorAll("header button")[step].click();
});
dialog.addEventListener("click", (event) => event.target === dialog && event.offsetX < 0 && dialog.close());

for (const head of document.querySelectorAll("#all th")) {
  head.firstElementChild.addEventListener("click", () => {
    state.down = state.sort === head.dataset.sort ? !state.down : false;
    state.sort = head.dataset.sort;
    draw();
  });
}
for (const name of ["text", "status", "change", "test"]) {
  document.getElementById(name).addEventListener("input", (event) => { state[name] = event.target.value; draw(); });
}
document.getElementById("chip").addEventListener("click", () => { state.ids = null; draw(); });
body.addEventListener("click", (event) => {
  const line = event.target.closest("tr");
  if (line) location.hash = addressOf(line.dataset.id);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-show]");
  if (!button) return;
  const [kind, index, check] = button.dataset.show.split(" ");
  const lost = (row) => check === undefined || row.tests.some((test) => test.test === Number(check) && test.now < test.max);
  state.ids = new Set(kind === "group" ? data.groups[index].ids : data.rows.filter((row) => row.diagnoses.includes(Number(index)) && lost(row)).map((row) => row.id));
  state.idsName = kind === "group" ? `group ${Number(index) + 1}` : data.mistakes[index];
  draw();
  dialog.close();
  document.getElementById("submissions").scrollIntoView({ behavior: "smooth" });
});
// What is shown goes with the reader: as a list, or as a table that no spreadsheet takes for a formula.
const list = () => state.visible.map((row) => [row.id, row.people.map((one) => one[0] || one[2] || one[1]).join(", ") || row.folder].filter(Boolean).join("\t")).join("\n");
const field = (value) => {
  const text = String(value ?? "");
  return `"${(/^[\s\u200c\u200d]*[=+\-@]/.test(text.normalize("NFKC")) && !/^-?[\d.]+$/.test(text) ? "'" : "") + text.replaceAll('"', '""')}"`;
};
const comments = (row) => row.tests.filter((test) => test.now !== null && test.now < test.max && test.newText >= 0)
  .map((test) => `${data.tests[test.test]} (${points(test.now)} of ${points(test.max)})\n${data.texts[test.newText]}`).join("\n\n");
function csv() {
  const heads = ["id", "name", "sid", "email", "handed in", "before", "now", "change", ...data.tests, "status", "mistakes", "comments"];
  const lines = state.visible.flatMap((row) => (row.people.length ? row.people : [[row.folder, "", ""]]).map((one) => [
    row.id, ...one, row.created, points(row.before), points(row.now), points(row.change),
    ...data.tests.map((_, index) => points(row.tests.find((test) => test.test === index)?.now ?? null)),
    row.status, row.diagnoses.map((index) => data.mistakes[index]).join("; "), comments(row),
  ]));
  return "\ufeff" + [heads, ...lines].map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
}
document.getElementById("copy").addEventListener("click", async (event) => {
  const area = Object.assign(element("textarea"), { value: list() });
  document.body.append(area); // a page from a disk may not use the clipboard by itself
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) await navigator.clipboard.writeText(list());
  event.target.textContent = `Copied ${state.visible.length}`;
});
document.getElementById("save").addEventListener("click", () => {
  const link = Object.assign(element("a"), { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: "submissions.csv" });
  link.click();
  URL.revokeObjectURL(link.href);
});
addEventListener("hashchange", follow);
draw();
follow();
