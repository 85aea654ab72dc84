// The operator's page: keeps itself fresh, and asks for a reason before anything moves.

import { post } from "./api.js";
import { refreshTimes } from "./times.js";

const EVERY_MS = 3000;
const ACTOR_KEY = "thumbwheel.actor";
const main = document.getElementById("main");
const panels = document.getElementById("panels");
const fresh = document.getElementById("fresh");
const dialog = document.getElementById("order");
const form = document.getElementById("order-form");
const problem = document.getElementById("order-error");
const submit = document.getElementById("order-submit");
const last = new Map(); // panel name -> the HTML the server last gave for it
let asked = 0; // refreshes asked for, and the latest one shown: a late answer never overwrites a newer one
let shown = 0;
let order = null;

async function refresh() {
  const turn = (asked += 1);
  try {
    const response = await fetch(`/operate/panels?policy=${encodeURIComponent(main.dataset.policy)}`);
    if (!response.ok) throw new Error(`the service answered ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (turn < shown) return;
    shown = turn;
    for (const panel of page.querySelectorAll("[data-panel]")) replace(panel);
    if (fresh.classList.contains("bad")) fresh.textContent = "";
    fresh.classList.remove("bad");
  } catch (error) {
    fresh.textContent = `Not up to date: ${error.message}. Trying again.`;
    fresh.classList.add("bad");
  }
  refreshTimes(panels);
}

// Only a panel that changed is replaced; what is open stays open, and the focus stays where it was.
function replace(panel) {
  const name = panel.dataset.panel;
  if (last.get(name) === panel.innerHTML) return;
  last.set(name, panel.innerHTML);
  const old = panels.querySelector(`[data-panel="${name}"]`);
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  for (const details of old.querySelectorAll("details[data-key]")) {
    const twin = panel.querySelector(`details[data-key="${CSS.escape(details.dataset.key)}"]`);
    if (twin) twin.open = details.open;
  }
  old.replaceWith(panel);
  if (focused) document.getElementById(focused)?.focus();
}

async function keepFresh() {
  if (!document.hidden) await refresh();
  setTimeout(keepFresh, EVERY_MS);
}

const ends = (trial) => (trial ? ` The trial of ${trial} ends.` : "");
const moved = ({ channel, previous, version }) => `${channel} is ${previous === version ? "already" : "now"} ${version}.`;
const texts = {
  promote: (policy, { version, trial }) => ({
    title: `Promote ${version}`,
    text: `Every new request to ${policy} is answered by ${version}. Requests under way finish on the version they started on.${ends(trial)}`,
    button: "Promote",
    look: "primary",
    done: moved,
  }),
  rollback: (policy, { version, target, trial }) => ({
    title: `Roll back ${version}`,
    text: `${policy} returns to ${target}, the champion before ${version}. Requests under way finish on the version they started on.${ends(trial)}`,
    button: "Roll back",
    look: "danger",
    done: moved,
  }),
  stop: (policy, { version }) => ({
    title: `Stop the canary ${version}`,
    text: `The champion answers every new request to ${policy}, also of the users whom ${version} answered.`,
    button: "Stop",
    look: "danger",
    path: "stop",
    done: ({ version: tried }) => `The canary ${tried} was stopped.`,
  }),
  unwatch: (policy, { version }) => ({
    title: `Stop watching ${version}`,
    text: `${version} stays the champion of ${policy}, and is not rolled back by itself any more.`,
    button: "Stop",
    look: "danger",
    path: "stop",
    done: ({ version: tried }) => `${tried} is not watched any more.`,
  }),
};

function open(button) {
  const { order: kind, version } = button.dataset;
  order = { kind, version, ...texts[kind](main.dataset.policy, button.dataset) };
  const { title, text, button: label, look } = order;
  document.getElementById("order-title").textContent = title;
  document.getElementById("order-text").textContent = text;
  submit.textContent = label;
  submit.className = `button ${look}`;
  problem.textContent = "";
  form.elements.actor.value ||= localStorage.getItem(ACTOR_KEY) ?? "";
  dialog.showModal();
  form.elements.reason.focus();
}

async function send(event) {
  event.preventDefault();
  const body = { policy: main.dataset.policy, reason: form.elements.reason.value, actor: form.elements.actor.value };
  if (order.kind === "promote") body.version = order.version;
  submit.disabled = true;
  try {
    const change = await (await post(`/operate/${order.path ?? order.kind}`, body)).json();
    localStorage.setItem(ACTOR_KEY, body.actor);
    form.elements.reason.value = "";
    dialog.close();
    fresh.textContent = order.done(change);
    await refresh();
  } catch (error) {
    problem.textContent = error.message;
  } finally {
    submit.disabled = false;
  }
}

panels.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-order]");
  if (button) open(button);
});
form.addEventListener("submit", send);
document.getElementById("order-cancel").addEventListener("click", () => dialog.close());
for (const panel of panels.querySelectorAll("[data-panel]")) last.set(panel.dataset.panel, panel.innerHTML);
refreshTimes(panels);
keepFresh();
