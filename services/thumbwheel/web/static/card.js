// One question with its answer or its two candidates, and every way to rate them.

import { breakable, percent, shownText } from "./texts.js";
import { tagFields, taggedText, chosenTags } from "./tags.js";
import { currentOn, give, holderOf, keepToken, onChange, takeBack } from "./voting.js";

const cardTemplate = document.getElementById("card-template");
const candidateTemplate = document.getElementById("candidate-template");
const REASONS = {
  classify: { up: ["correct", "close-enough"], down: ["wrong", "too-broad", "too-narrow", "none-fits"] },
  tag: { up: ["correct", "close-enough"], down: ["missed-something", "wrong-name", "wrong-words", "found-too-much"] },
  generate: { up: ["correct", "helpful", "clear", "friendly"], down: ["wrong", "unhelpful", "too-long", "unfriendly"] },
};
const DRAWN = {
  classify: "Drawn at random by these probabilities, so that votes on every label can teach the next version.",
  tag: "What each word is was drawn at random, by the probability beside it (“Correct it” shows those of all words), so that votes on every name can teach the next version.",
};
const LIKELY_SHOWN = 3;

export class Card {
  constructor(question, policy) {
    this.question = question;
    this.policy = policy;
    this.element = cardTemplate.content.cloneNode(true).firstElementChild;
    this.candidates = [];
    this.isFinished = false;
    this.find(".question").textContent = question;
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  addCandidate() {
    const candidate = new Candidate(this);
    this.candidates.push(candidate);
    this.find(".candidates").append(candidate.element);
    this.element.classList.toggle("pair", this.candidates.length > 1);
    return candidate;
  }

  stoppable(stop) {
    const button = this.find(".stop");
    button.hidden = false;
    button.addEventListener("click", stop);
  }

  finished() {
    this.isFinished = this.candidates.every((candidate) => candidate.answer);
    this.find(".stop").hidden = true;
    this.candidates.forEach((candidate, i) => candidate.name(this.candidates.length > 1 ? `Answer ${i + 1}` : "Answer"));
  }

  note(text, isBad = false) {
    const note = this.find(".card-note");
    note.hidden = false;
    note.textContent = text;
    note.classList.toggle("bad", isBad);
  }

  // Under which id the service keeps this card's ranking, and which candidate is first in it.
  get holder() {
    return holderOf(this.candidates.map(({ answer }) => answer.response_id));
  }

  get preferred() {
    return currentOn(this.holder).find((row) => row.kind === "ranking")?.ranking[0];
  }

  async prefer(chosen) {
    if (this.preferred === chosen.answer.response_id) {
      await takeBack(this.holder, "ranking");
      return;
    }
    const order = [chosen, ...this.candidates.filter((candidate) => candidate !== chosen)];
    const ranking = order.map(({ answer }) => ({ response_id: answer.response_id, feedback_token: answer.feedback_token }));
    await give(chosen.answer, this.question, { ranking });
  }
}

class Candidate {
  constructor(card) {
    this.card = card;
    this.element = candidateTemplate.content.cloneNode(true).firstElementChild;
    this.text = this.find(".answer");
    this.lastValue = null;
    this.chosenStars = null; // until they are counted, or refused
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  name(text) {
    this.element.setAttribute("aria-label", text);
  }

  busy(isBusy) {
    this.text.setAttribute("aria-busy", String(isBusy));
  }

  append(text) {
    this.text.append(text);
  }

  // The answer is whole: show who made it, and let it be rated.
  complete(answer) {
    this.answer = answer;
    this.busy(false);
    if (this.card.policy.kind === "tag") {
      this.text.replaceChildren(...taggedText(this.card.question, answer.words, this.card.policy.labels));
    } else if (this.card.policy.kind === "classify") this.text.replaceChildren(...breakable(answer.text));
    else this.text.textContent = shownText(answer.text);
    this.text.classList.toggle("label", this.card.policy.kind === "classify");
    this.showStamp();
    this.showLikely();
    if (!answer.rateable) {
      this.note("This answer could not be logged, so it can not be rated.");
      return;
    }
    keepToken(answer);
    this.wire();
    onChange(() => this.card.isFinished && this.show());
  }

  showStamp() {
    const who = document.createElement("strong");
    who.textContent = `${this.answer.policy} ${this.answer.version}`;
    const cut = this.answer.finish_reason === "length" ? " · cut at the length limit" : "";
    this.find(".stamp").replaceChildren("answered by ", who, cut);
    this.find(".stamp").hidden = false;
  }

  showLikely() {
    const likely = this.find(".likely");
    likely.hidden = !this.answer.probabilities.length;
    likely.replaceChildren(...likeliest(this.answer).map((one) => likelyRow(one, one.label === this.answer.text)));
    this.find(".drawn").textContent = DRAWN[this.card.policy.kind] ?? "";
    this.find(".drawn").hidden = !this.card.policy.is_drawn;
  }

  wire() {
    const isPair = this.card.candidates.length > 1;
    this.find(".rate").hidden = isPair;
    this.find(".better").hidden = !isPair;
    this.find(".better").addEventListener("click", () => this.attempt(() => this.card.prefer(this)));
    for (const button of this.element.querySelectorAll(".thumb")) {
      button.addEventListener("click", () => this.thumb(button.dataset.thumb));
    }
    this.wireStars();
    this.wireEdit();
    this.find(".why").addEventListener("submit", (event) => this.why(event));
  }

  // What the visitor currently thinks: { thumb: row, rating: row, ... }
  votes() {
    return Object.fromEntries(currentOn(this.answer.response_id).map((row) => [row.kind, row]));
  }

  async thumb(direction) {
    if (this.votes().thumb?.thumb === direction) {
      this.find(".why").hidden = true;
      await this.attempt(() => takeBack(this.answer.response_id, "thumb"), "Taken back.");
    } else {
      await this.vote({ thumb: direction }, direction);
    }
  }

  // Arrow keys walk over the stars: only where they come to rest is a vote.
  wireStars() {
    let rest;
    for (const radio of this.element.querySelectorAll(".stars input")) {
      radio.name = `stars-${this.answer.response_id}`;
      radio.addEventListener("change", () => {
        clearTimeout(rest);
        this.chosenStars = Number(radio.value);
        rest = setTimeout(() => this.rate(this.chosenStars), 350);
      });
    }
  }

  async rate(stars) {
    await this.vote({ rating: stars }, stars > 3 ? "up" : "down");
    if (this.chosenStars === stars) this.chosenStars = null;
    this.show();
  }

  async vote(value, mood) {
    const isDone = await this.attempt(() => give(this.answer, this.card.question, value), "Counted. Thank you!");
    if (isDone) this.askWhy(value, mood);
  }

  askWhy(value, mood) {
    this.lastValue = value;
    this.find(".why-what").textContent = value.thumb ? `Why ${value.thumb === "up" ? "good" : "bad"}?` : `Why ${value.rating} of 5 stars?`;
    const chips = this.find(".chips");
    chips.querySelectorAll(".chip").forEach((chip) => chip.remove());
    chips.append(...REASONS[this.card.policy.kind][mood].map(chip));
    this.find(".comment").value = "";
    this.find(".why").hidden = false;
  }

  async why(event) {
    event.preventDefault();
    const reasons = [...this.element.querySelectorAll(".chip input:checked")].map((box) => box.value);
    const comment = this.find(".comment").value.trim();
    const send = () => give(this.answer, this.card.question, this.lastValue, { comment, reasons });
    if (await this.attempt(send, "Added to your vote.")) this.find(".why").hidden = true;
  }

  wireEdit() {
    const form = this.find(".edit");
    const open = this.find(".correct");
    const toggle = (isOpen) => {
      form.hidden = !isOpen;
      open.setAttribute("aria-expanded", String(isOpen));
      (isOpen ? form.querySelector("textarea, select") : open).focus();
    };
    this.find(".edit-field").append(this.editField());
    const isTag = this.card.policy.kind === "tag";
    this.find(".tag-help").hidden = !isTag;
    if (isTag) this.find(".edit-label").textContent = "What each word is";
    else this.find(".edit-label").htmlFor = `edit-${this.answer.response_id}`;
    open.addEventListener("click", () => toggle(form.hidden));
    this.find(".cancel").addEventListener("click", () => toggle(false));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const send = () => give(this.answer, this.card.question, { edit: this.edit(form) });
      if (!(await this.attempt(send, "Your correction counts. Thank you!"))) return;
      this.find(".why").hidden = true; // what was wrong is said
      toggle(false);
    });
  }

  // What the visitor has corrected, as the service takes it.
  edit(form) {
    if (this.card.policy.kind === "tag") return { tags: chosenTags(form, this.card.policy.labels) };
    const text = form.querySelector("textarea, select").value.trim();
    return this.card.policy.kind === "classify" ? { label: text } : { text };
  }

  editField() {
    if (this.card.policy.kind === "tag") return tagFields(this.answer.words, this.card.policy.labels);
    const isLabel = this.card.policy.kind === "classify";
    const field = document.createElement(isLabel ? "select" : "textarea");
    field.id = `edit-${this.answer.response_id}`;
    field.required = true;
    if (isLabel) {
      const others = this.card.policy.labels.filter((label) => label !== this.answer.text);
      field.append(new Option("Choose the right label", ""), ...others.map((label) => new Option(label, label)));
    } else {
      field.rows = 3;
      field.maxLength = this.card.policy.max_chars;
      field.value = this.answer.text;
    }
    return field;
  }

  show() {
    const votes = this.votes();
    for (const button of this.element.querySelectorAll(".thumb")) {
      button.setAttribute("aria-pressed", String(votes.thumb?.thumb === button.dataset.thumb));
    }
    const stars = this.chosenStars ?? votes.rating?.rating;
    for (const radio of this.element.querySelectorAll(".stars input")) {
      radio.checked = stars === Number(radio.value);
    }
    const isBetter = this.card.preferred === this.answer.response_id;
    this.element.classList.toggle("chosen", isBetter);
    this.find(".better").setAttribute("aria-pressed", String(isBetter));
    this.find(".better").textContent = isBetter ? "✓ Your pick" : "This one is better";
  }

  async attempt(action, thanks = "") {
    try {
      await action();
      this.note(thanks);
      return true;
    } catch (error) {
      this.note(error.message, true);
      this.show();
      return false;
    }
  }

  note(text, isBad = false) {
    const note = this.find(".candidate-note");
    note.textContent = text;
    note.classList.toggle("bad", isBad);
  }
}

// The likeliest labels, and the served one wherever it stands among them.
function likeliest({ probabilities, text }) {
  return probabilities.filter(({ label }, place) => place < LIKELY_SHOWN || label === text);
}

function likelyRow({ label, probability }, isServed) {
  const row = document.createElement("li");
  const name = document.createElement("span");
  name.append(...breakable(label));
  if (isServed) {
    const mark = document.createElement("small");
    mark.textContent = "this answer";
    name.append(" ", mark);
    row.className = "served";
  }
  const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  bar.setAttribute("aria-hidden", "true");
  const filled = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  filled.setAttribute("width", `${100 * probability}%`);
  filled.setAttribute("height", "100%");
  bar.append(filled);
  const figure = document.createElement("span");
  figure.className = "p";
  figure.textContent = percent(probability);
  row.append(name, bar, figure);
  return row;
}

function chip(reason) {
  const label = document.createElement("label");
  label.className = "chip";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.value = reason;
  const face = document.createElement("span");
  face.textContent = reason.replaceAll("-", " ");
  label.append(box, face);
  return label;
}
