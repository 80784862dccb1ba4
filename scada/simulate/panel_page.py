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
label { display: grid; font-size: .85rem }
[hidden] { display: none !important }
#said { min-height: 1.5rem; color: #a11 }
</style>
<h1>Fault panel of the simulated field</h1>
<form id="key"><label>Token (in the panel's file)<input id="token" type="password" autocomplete="off" required></label>
<button>Open</button></form>
<main id="main" hidden>
<form id="begin"><label>Fault<select id="fault"></select></label><label>Concentrator<select id="where"></select></label>
<label>Module<select id="module"></select></label>
<label>Site seconds (empty: until ended)<input id="for" type="number" min="1" value="3600"></label>
<button>Begin</button></form>
<p id="does"></p>
<h2>On now</h2>
<table><thead><tr><th>Fault<th>Target<th>Since (UTC)<th>The server must show<th></tr><tbody id="running"></tbody></table>
<h2>Over</h2>
<table><thead><tr><th>Fault<th>Target<th>From (UTC)<th>To (UTC)<th>The server must show</tr>
<tbody id="over"></tbody></table>
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
  $("does").textContent = `${fault.does} ${fault.needs} The server must show: ${fault.shows}`;
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
  options($("fault"), known.catalogue.map((one) => one.name));
  options($("where"), Object.keys(known.there));
  choose();
  $("running").replaceChildren(...known.running.map((one) => {
    const end = document.createElement("button");
    end.textContent = "End";
    end.onclick = () => act("/end", { number: one.number });
    return row([one.fault, one.target, time(one.began), one.expect.join(", "), end], "on");
  }));
  $("over").replaceChildren(...known.over.toReversed().map((one) =>
    row([one.fault, one.target, time(one.began), time(one.ended), one.expect.join(", ")], "")));
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
  act("/faults", { fault: fault.name, target: where, duration_s: $("for").value ? Number($("for").value) : null });
};
$("fault").onchange = $("where").onchange = choose;
setInterval(() => { if (!$("main").hidden) show(); }, 2000);
if (token) show();
"""
