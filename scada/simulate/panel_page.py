"""The page of the fault panel and its script: self-contained, for the person who trains others. English only."""

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Fault panel</title>
<style>
body { font: 16px/1.4 system-ui, sans-serif; margin: 1rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1b1f24; background: #fff }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d5d9de; vertical-align: top }
button, select, input { font: inherit; padding: .3rem .6rem }
.on { background: #fff3d6 }
form { display: flex; gap: .6rem; flex-wrap: wrap; align-items: end }
label { display: grid; font-size: .85rem; max-width: 100% }
select { max-width: 100% }
.wide { overflow-x: auto }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .8rem; margin: 1rem 0; max-width: 52rem }
dt { color: #57606a }
dd { margin: 0 }
code { font-size: .85rem; white-space: nowrap }
.none { color: #57606a }
[hidden] { display: none !important }
#said { min-height: 1.5rem; color: #a11 }
</style>
<h1>Fault panel of the simulated field</h1>
<form id="key"><label>Token (in the panel's file)<input id="token" type="password" autocomplete="off" required></label>
<button>Open</button></form>
<main id="main" hidden>
<form id="begin"><label>Fault<select id="fault"></select></label><label>Concentrator<select id="where"></select></label>
<label>Module<select id="module"></select></label>
<label>Lasts, site minutes (empty: until ended)<input id="for" type="number" min="1" step="1"></label>
<button>Begin</button></form>
<dl><dt>Happens<dd id="does"><dt>You do<dd id="needs"><dt>Server shows<dd id="shows"><dt>In figures<dd id="expect"></dl>
<h2>On now <small>(site time <span id="now"></span> UTC)</small></h2>
<div class="wide"><table><thead><tr><th><th>Fault<th>Target<th>Since<th>Until<th>The server must show</tr>
<tbody id="running"></tbody></table></div>
<h2>Over</h2>
<div class="wide"><table><thead><tr><th>Fault<th>Target<th>From<th>To<th>The server must show</tr>
<tbody id="over"></tbody></table></div>
</main>
<p id="said" role="status"></p><script src="/panel.js"></script></html>
"""

SCRIPT: Final = """"use strict";
const $ = (id) => document.getElementById(id);
let token = sessionStorage.getItem("token") || "";
let known = { catalogue: [], there: {} };
async function ask(path, body) {
  const how = { headers: { "X-Token": token } };
  if (body) Object.assign(how, { method: "POST", body: JSON.stringify(body) });
  const answer = await fetch(path, how);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}
function options(select, values) {
  if (select.dataset.has === values.join()) return;
  select.dataset.has = values.join();
  select.replaceChildren(...values.map((value) => new Option(value)));
}
function byKind(select, catalogue) {
  if (select.options.length) return;
  for (const kind of new Set(catalogue.map((one) => one.kind))) {
    const group = document.createElement("optgroup");
    group.label = kind;
    group.append(...catalogue.filter((one) => one.kind === kind).map((one) => new Option(one.name)));
    select.append(group);
  }
}
function figures(wanted) {
  const all = document.createElement("span");
  for (const one of wanted) {
    const code = document.createElement("code");
    code.textContent = one;
    all.append(code, document.createElement("wbr"), " ");
  }
  return all;
}
function fill(body, rows, columns, nothing) {
  const empty = document.createElement("td");
  empty.colSpan = columns;
  empty.className = "none";
  empty.textContent = nothing;
  const line = document.createElement("tr");
  line.append(empty);
  body.replaceChildren(...(rows.length ? rows : [line]));
}
function row(cells, mark) {
  const line = document.createElement("tr");
  line.className = mark;
  for (const cell of cells) {
    const place = document.createElement("td");
    place.append(cell);
    line.append(place);
  }
  return line;
}
const time = (s) => (s === null ? "" : new Date(1000 * s).toISOString().slice(0, 19).replace("T", " "));
function choose() {
  const fault = known.catalogue.find((one) => one.name === $("fault").value);
  if (!fault) return;
  $("does").textContent = fault.does;
  $("needs").textContent = fault.needs || "Nothing.";
  $("shows").textContent = fault.shows;
  $("expect").replaceChildren(figures(fault.expect));
  if ($("for").dataset.of !== fault.name) {
    $("for").dataset.of = fault.name;
    $("for").value = Math.round(fault.lasts_s / 60);
  }
  $("module").disabled = !fault.module;
  options($("module"), (known.there[$("where").value] || []).map(String));
}
async function show() {
  try {
    known = await ask("/faults");
  } catch (problem) {
    $("said").textContent = problem.message;
    return;
  }
  $("main").hidden = false;
  $("key").hidden = true;
  byKind($("fault"), known.catalogue);
  $("now").textContent = time(known.now);
  options($("where"), Object.keys(known.there));
  choose();
  fill($("running"), known.running.map((one) => {
    const end = document.createElement("button");
    end.textContent = "End";
    end.onclick = () => act("/end", { number: one.number });
    const until = time(one.ends) || "until ended";
    return row([end, one.fault, one.target, time(one.began), until, figures(one.expect)], "on");
  }), 6, "Nothing is wrong at present.");
  fill($("over"), known.over.toReversed().map((one) =>
    row([one.fault, one.target, time(one.began), time(one.ended), figures(one.expect)], "")), 5, "Nothing yet.");
}
async function act(path, body) {
  $("said").textContent = "";
  try { await ask(path, body); } catch (problem) { $("said").textContent = problem.message; }
  show();
}
$("key").onsubmit = (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("token", token);
  $("said").textContent = "";
  show();
};
$("begin").onsubmit = (event) => {
  event.preventDefault();
  const fault = known.catalogue.find((one) => one.name === $("fault").value);
  const where = $("where").value + (fault.module ? "/" + $("module").value : "");
  act("/faults", { fault: fault.name, target: where, duration_s: $("for").value ? 60 * Number($("for").value) : null });
};
$("fault").onchange = $("where").onchange = choose;
setInterval(() => { if (!$("main").hidden) show(); }, 2000);
if (token) show();
"""
