// How an answer's text and figures are shown.

// An answer of nothing but blanks would look as if none had come.
export const shownText = (text) => (text.trim() ? text : "(an empty answer)");

// 0.7134 -> "71.3 %", which never breaks.
export const percent = (share) => `${(100 * share).toFixed(1)}\u202f%`;

// The same text, which may break after each "_": nodes to append.
export const breakable = (text) => text.split(/(?<=_)/).flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part]));
