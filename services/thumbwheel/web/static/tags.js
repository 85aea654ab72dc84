// Words with their tags: shown in colour, and corrected by choosing another tag for a word.

const COLOURS = 6;

// Read as the service reads them (policy/bio.py): "B-city" begins a city, "I-city" goes on with the one right before it
// and begins one where there is none. Anything else has no name.
const nameOf = (tag) => tag.match(/^[BI]-(.+)$/s)?.[1] ?? "";

// The same name has the same colour in every answer.
function colourOf(name) {
  return [...name].reduce((sum, letter) => (31 * sum + letter.codePointAt(0)) % 997, 7) % COLOURS;
}

export function taggedWords(words) {
  const shown = [];
  let before = "";
  for (const { text, tag, probability } of words) {
    const name = nameOf(tag);
    const word = document.createElement(name ? "mark" : "span");
    word.className = name ? `tagged tag-${colourOf(name)}` : "untagged";
    word.title = `${tag}, ${(100 * probability).toFixed(1)} %`;
    word.textContent = text;
    if (name && (tag.startsWith("B-") || name !== before)) {
      const what = document.createElement("small");
      what.textContent = name;
      word.append(" ", what);
    }
    shown.push(word, " ");
    before = name;
  }
  return shown;
}

export function tagFields(words, labels) {
  const fields = document.createElement("div");
  fields.className = "tag-fields";
  for (const { text, tag } of words) {
    const field = document.createElement("label");
    const word = document.createElement("span");
    word.textContent = text;
    const choice = document.createElement("select");
    choice.append(...labels.map((label) => new Option(label === "O" ? "–" : label, label, label === tag, label === tag)));
    field.append(word, choice);
    fields.append(field);
  }
  return fields;
}

export const chosenTags = (form) => [...form.querySelectorAll(".tag-fields select")].map((choice) => choice.value);
