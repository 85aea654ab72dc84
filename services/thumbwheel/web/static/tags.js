// Words with their tags: shown in colour, and corrected by choosing another tag for a word.

import { percent } from "./texts.js";

const COLOURS = 6;

// "B-city" and "I-city" have the name "city"; "O" has none.
const nameOf = (tag) => (tag === "O" ? "" : tag.slice(2));

// The same name has the same colour in every answer.
function colourOf(name) {
  return [...name].reduce((sum, letter) => (31 * sum + letter.codePointAt(0)) % 997, 7) % COLOURS;
}

export function taggedWords(words) {
  const shown = [];
  for (const { text, tag, probability } of words) {
    const name = nameOf(tag);
    const word = document.createElement(name ? "mark" : "span");
    word.className = name ? `tagged tag-${colourOf(name)}` : "untagged";
    word.textContent = text;
    if (name) word.append(" ", small(tag.startsWith("B-") ? `${name} ${percent(probability)}` : percent(probability)));
    shown.push(word, " ");
  }
  return shown;
}

export function tagFields(words, labels) {
  const fields = document.createElement("div");
  fields.className = "tag-fields";
  for (const { text, tag, probability } of words) {
    const field = document.createElement("label");
    const word = document.createElement("span");
    word.append(text, " ", small(percent(probability)));
    const choice = document.createElement("select");
    choice.append(...labels.map((label) => new Option(label === "O" ? "–" : label, label, label === tag, label === tag)));
    field.append(word, choice);
    fields.append(field);
  }
  return fields;
}

export const chosenTags = (form) => [...form.querySelectorAll(".tag-fields select")].map((choice) => choice.value);

function small(text) {
  const element = document.createElement("small");
  element.textContent = text;
  return element;
}
