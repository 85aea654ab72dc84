// The visitor's current votes: what the server lists, and what was sent and is not listed yet.

import { get, pause, postSafely } from "./api.js";
import { foundText } from "./tags.js";

const TOKENS_KEY = "thumbwheel.tokens";
const MAX_TOKENS = 500;
const SETTLE_MS = 5000;
const LOOK_AGAIN_MS = [500, 1000, 2000, 4000, 8000];

const changes = new EventTarget();
const sent = new Map(); // key -> row
const withdrawn = new Map(); // key -> time of withdrawal
let listed = [];
let complete = true;
let looking = false;

const keyOf = (row) => `${row.response_id}/${row.kind}`;

// Tokens live as long as the cookie they are good with: in this browser. They hold no text.
function tokens() {
  try {
    return new Map(JSON.parse(localStorage.getItem(TOKENS_KEY)) ?? []);
  } catch {
    return new Map();
  }
}

export function keepToken(answer) {
  const kept = [...tokens(), [answer.response_id, answer.feedback_token]].slice(-MAX_TOKENS);
  try {
    localStorage.setItem(TOKENS_KEY, JSON.stringify(kept));
  } catch {
    // No room, or storage is off: the answer can be rated now, but not taken back after a reload.
  }
}

export const canTakeBack = (row) => tokens().has(row.response_id);

export function onChange(listener) {
  changes.addEventListener("change", listener);
}

export function current() {
  const rows = new Map(listed.map((row) => [keyOf(row), row]));
  for (const [key, row] of sent) rows.set(key, row);
  for (const key of withdrawn.keys()) rows.delete(key);
  return [...rows.values()].sort((a, b) => b.time_us - a.time_us);
}

// Whether the list has all that was ever sent from here; what is acknowledged may be on its way to it for long.
export const isComplete = () => complete;

export const currentOn = (responseId) => current().filter((row) => row.response_id === responseId);

// The service keeps a ranking under the smallest id of those ranked, whatever their order.
export const holderOf = (responseIds) => [...responseIds].sort()[0];

// `value` has one of thumb, rating, ranking, edit; `extras` may have comment and reasons.
export async function give(answer, question, value, extras = {}) {
  const body = { response_id: answer.response_id, feedback_token: answer.feedback_token, ...value, ...extras };
  const { feedback_id: feedbackId } = await postSafely("/votes", body);
  const row = rowOf(feedbackId, answer, question, value, extras);
  withdrawn.delete(keyOf(row));
  sent.set(keyOf(row), row);
  changed();
}

export async function takeBack(responseId, kind) {
  const body = { response_id: responseId, feedback_token: tokens().get(responseId), kind };
  await postSafely("/votes/take-back", body);
  sent.delete(keyOf(body));
  withdrawn.set(keyOf(body), Date.now());
  changed();
}

export async function refresh() {
  ({ votes: listed, complete } = await get("/votes"));
  const ids = new Set(listed.map((row) => row.feedback_id));
  const keys = new Set(listed.map(keyOf));
  for (const [key, row] of sent) if (ids.has(row.feedback_id)) sent.delete(key);
  for (const [key, since] of withdrawn) {
    if (complete && !keys.has(key) && Date.now() - since > SETTLE_MS) withdrawn.delete(key);
  }
  changes.dispatchEvent(new Event("change"));
}

function rowOf(feedbackId, answer, question, value, extras) {
  const kind = Object.keys(value)[0];
  const { words, text } = answer;
  const { edit } = value;
  const ranking = (value.ranking ?? []).map((ranked) => ranked.response_id);
  return {
    feedback_id: feedbackId,
    response_id: ranking.length ? holderOf(ranking) : answer.response_id,
    kind,
    policy: answer.policy,
    version: answer.version,
    question,
    answer: words.length ? foundText(words, words.map(({ tag }) => tag)) : text,
    time_us: Date.now() * 1000,
    thumb: value.thumb ?? null,
    rating: value.rating ?? null,
    ranking,
    edit: edit ? (edit.text ?? edit.label ?? foundText(words, edit.tags)) : null,
    comment: extras.comment ?? "",
    reasons: extras.reasons ?? [],
  };
}

function changed() {
  changes.dispatchEvent(new Event("change"));
  lookAgain();
}

// An acknowledged vote is durable at once and listed a moment later.
async function lookAgain() {
  if (looking) return;
  looking = true;
  for (const ms of LOOK_AGAIN_MS) {
    await pause(ms);
    await refresh().catch(() => {});
    if (!sent.size && !withdrawn.size) break;
  }
  looking = false;
}
