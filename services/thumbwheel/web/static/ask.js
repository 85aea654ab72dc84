// The user's page: ask, and show the answer as it comes.

import { post, readLines, Problem } from "./api.js";
import { Card } from "./card.js";
import { startMine } from "./mine.js";

const policies = new Map(JSON.parse(document.getElementById("policies").textContent).map((policy) => [policy.name, policy]));
const form = document.getElementById("ask-form");
const question = document.getElementById("question");
const compare = document.getElementById("compare");
const compareRow = document.getElementById("compare-row");
const answers = document.getElementById("answers");
const problem = document.getElementById("ask-error");
const announcer = document.getElementById("announcer");

const chosenPolicy = () => policies.get(form.elements.policy.value);

async function ask(event) {
  event.preventDefault();
  const text = question.value.trim();
  problem.textContent = text ? "" : "Write your message first.";
  if (!text) return;
  const policy = chosenPolicy();
  const card = new Card(text, policy);
  answers.prepend(card.element);
  question.value = "";
  question.focus();
  try {
    await (policy.kind === "generate" ? generate(card, compare.checked ? 2 : 1) : label(card));
    card.finished();
    announcer.textContent = "The answer is there.";
  } catch (error) {
    failed(card, error);
  }
}

// One answer at once: a label of the text, or a tag of each word.
async function label(card) {
  const waiting = card.addCandidate();
  waiting.busy(true);
  const response = await post(`/ask/${card.policy.kind}`, { policy: card.policy.name, text: card.question });
  waiting.complete((await response.json()).answers[0]);
}

async function generate(card, candidates) {
  const waiting = Array.from({ length: candidates }, () => card.addCandidate());
  waiting.forEach((candidate) => candidate.busy(true));
  const controller = new AbortController();
  card.stoppable(() => controller.abort());
  const body = { policy: card.policy.name, text: card.question, candidates };
  const response = await post("/ask/generate", body, controller.signal);
  if (candidates === 1) {
    await stream(response, waiting[0]);
  } else {
    const made = (await response.json()).answers;
    waiting.forEach((candidate, i) => candidate.complete(made[i]));
  }
}

async function stream(response, candidate) {
  for await (const line of readLines(response)) {
    if (line.error) throw new Problem(line.error.message, 502);
    if (line.text) candidate.append(line.text);
    if (line.answer) candidate.complete(line.answer);
  }
  if (!candidate.answer) throw new Problem("The answer ended early. Ask again.", 502);
}

function failed(card, error) {
  card.candidates.forEach((candidate) => candidate.busy(false));
  card.finished();
  const isStopped = error.name === "AbortError";
  card.note(isStopped ? "Stopped." : error.message, !isStopped);
  announcer.textContent = isStopped ? "Stopped." : error.message;
  if (!question.value && !isStopped) question.value = card.question;
}

// What the chosen policy can do, and how much it reads.
function fitPolicy() {
  compareRow.hidden = chosenPolicy().kind !== "generate";
  question.maxLength = chosenPolicy().max_chars;
}

if (form) {
  form.addEventListener("submit", ask);
  form.addEventListener("change", fitPolicy);
  question.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  fitPolicy();
}
startMine();
