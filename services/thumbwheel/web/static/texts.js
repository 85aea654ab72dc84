// How an answer's text is shown.

// An answer of nothing but blanks would look as if none had come.
export const shownText = (text) => (text.trim() ? text : "(an empty answer)");
