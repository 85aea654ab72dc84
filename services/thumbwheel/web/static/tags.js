// Words with their tags: shown in colour, and corrected by choosing names.

import { percent } from "./texts.js";

const COLOURS = 6;

// Read as the service reads them (policy/bio.py): "B-city" begins a city, "I-city" goes on with the one right before it
// and begins one where there is none; both have the name "city". "O" has none, any other tag is its own name.
const EDGE = /^[BI]-/;
const nameOf = (tag) => (tag === "O" ? "" : tag.replace(EDGE, ""));
const namesOf = (labels) => [...new Set(labels.map(nameOf).filter(Boolean))];

// The tag of a name that is in `labels`.
function tagOf(name, isContinued, labels) {
  if (!name) return "O";
  const fitting = [isContinued ? `I-${name}` : `B-${name}`, `B-${name}`, `I-${name}`];
  return fitting.find((tag) => labels.includes(tag)) ?? name;
}

// The text as it was written, its words marked.
export function taggedText(text, words, labels) {
  const characters = [...text]; // the service counts code points; an emoji has two places in a string
  const names = namesOf(labels);
  const shown = [];
  let end = 0;
  let before = "";
  for (const word of words) {
    const name = nameOf(word.tag);
    const isFirst = name !== before || word.tag.startsWith("B-");
    const gap = characters.slice(end, word.start).join("");
    shown.push(gap || !name ? gap : document.createElement("wbr")); // a line may break before a mark, not in it
    shown.push(taggedWord(word, name, isFirst, names.indexOf(name)));
    end = word.end;
    before = name;
  }
  return [...shown, characters.slice(end).join("")];
}

function taggedWord({ text, probability }, name, isFirst, place) {
  const word = document.createElement(name ? "mark" : "span");
  word.className = name ? `tagged tag-${place % COLOURS}` : "untagged";
  word.textContent = text;
  if (name) word.append("\u00a0", small(isFirst ? `${name} ${percent(probability)}` : percent(probability)));
  return word;
}

export function tagFields(words, labels) {
  const fields = document.createElement("div");
  fields.className = "tag-fields";
  const names = labels.includes("O") ? ["", ...namesOf(labels)] : namesOf(labels);
  fields.append(...words.map((word) => tagField(word, names)));
  fields.addEventListener("change", () => offerNew(fields));
  offerNew(fields);
  return fields;
}

function tagField({ text, tag, probability }, names) {
  const field = document.createElement("div");
  field.className = "tag-field";
  const word = document.createElement("span");
  word.append(text, " ", small(percent(probability)));
  const choice = document.createElement("select");
  const chosen = nameOf(tag);
  choice.append(...names.map((name) => new Option(name || "–", name, name === chosen, name === chosen)));
  const label = document.createElement("label");
  label.append(word, choice);
  field.append(label, newOne(text, tag.startsWith("B-")));
  return field;
}

function newOne(text, isNew) {
  const label = document.createElement("label");
  label.className = "new-one";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = isNew;
  box.setAttribute("aria-label", `${text} begins a new one`);
  label.append(box, "a new one");
  return label;
}

// Only a word beside one of the same name can be a part of it, or begin a new one.
function offerNew(fields) {
  let before = "";
  for (const field of fields.children) {
    const name = field.querySelector("select").value;
    field.querySelector(".new-one").hidden = !name || name !== before;
    before = name;
  }
}

export function chosenTags(form, labels) {
  let before = "";
  return [...form.querySelectorAll(".tag-field")].map((field) => {
    const name = field.querySelector("select").value;
    const isContinued = name === before && !field.querySelector(".new-one input").checked;
    before = name;
    return tagOf(name, isContinued, labels);
  });
}

// What was found, as the list of votes says it: "New York (city)".
export function foundText(words, tags) {
  const found = [];
  let before = "";
  words.forEach(({ text }, place) => {
    const name = nameOf(tags[place]);
    if (name && name === before && !tags[place].startsWith("B-")) found.at(-1).texts.push(text);
    else if (name) found.push({ name, texts: [text] });
    before = name;
  });
  return found.map(({ name, texts }) => `${texts.join(" ")} (${name})`).join(", ") || "nothing found";
}

function small(text) {
  const element = document.createElement("small");
  element.textContent = text;
  return element;
}
