// The list of the visitor's own votes, each with a way to take it back.

import { shownText } from "./texts.js";
import { ago } from "./times.js";
import { canTakeBack, current, isComplete, onChange, refresh, takeBack } from "./voting.js";

const list = document.getElementById("mine");
const heading = document.getElementById("mine-title");
const empty = document.getElementById("mine-empty");
const pending = document.getElementById("mine-pending");
const problem = document.getElementById("mine-error");
const announcer = document.getElementById("announcer");
const template = document.getElementById("vote-template");
const thumbIcon = (thumb) => document.querySelector("#candidate-template").content.querySelector(`[data-thumb="${thumb}"] svg`);

export function startMine() {
  onChange(show);
  refresh().catch((error) => { problem.textContent = error.message; });
}

function show() {
  const rows = current();
  pending.hidden = isComplete();
  empty.hidden = rows.length > 0 || !isComplete();
  list.replaceChildren(...rows.map(item));
}

function item(row) {
  const node = template.content.cloneNode(true).firstElementChild;
  const what = describe(row);
  mark(node.querySelector(".vote-mark"), row);
  node.querySelector(".vote-what").textContent = what;
  node.querySelector(".vote-answer").textContent = shownText(row.answer);
  const question = row.question.length > 60 ? `${row.question.slice(0, 60)}…` : row.question;
  const reasons = [...row.reasons, ...(row.comment ? [`“${row.comment}”`] : [])].join(", ");
  node.querySelector(".vote-meta").textContent = [`to “${question}”`, reasons, `${row.policy} ${row.version}`, ago(new Date(row.time_us / 1000))]
    .filter(Boolean).join(" · ");
  const button = node.querySelector(".take-back");
  button.hidden = !canTakeBack(row);
  button.setAttribute("aria-label", `Take back: ${what}, to “${question}”`);
  button.addEventListener("click", () => withdraw(row, button));
  return node;
}

async function withdraw(row, button) {
  const place = [...list.children].indexOf(button.closest("li"));
  button.disabled = true;
  problem.textContent = "";
  try {
    await takeBack(row.response_id, row.kind);
    announcer.textContent = "Vote taken back.";
    (list.children[Math.min(place, list.children.length - 1)]?.querySelector(".take-back") ?? heading).focus();
  } catch (error) {
    button.disabled = false;
    problem.textContent = error.message;
  }
}

function describe(row) {
  if (row.kind === "thumb") return row.thumb === "up" ? "Good answer" : "Bad answer";
  if (row.kind === "rating") return `${row.rating} of 5 stars`;
  if (row.kind === "ranking") return "Better of two";
  return `Corrected to: ${row.edit}`;
}

function mark(node, row) {
  if (row.kind === "thumb") {
    node.classList.add(row.thumb);
    node.append(thumbIcon(row.thumb).cloneNode(true));
  } else if (row.kind === "rating") {
    node.classList.add("stars");
    node.textContent = `${row.rating}★`;
  } else {
    node.textContent = row.kind === "ranking" ? "1st" : "✎";
  }
}
