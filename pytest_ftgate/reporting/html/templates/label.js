
// The pairs -------------------------------------------------------------------------------
const { pairs, keys } = JSON.parse(byId("pairs").textContent);
const article = byId("pair"), typed = byId("typed"), saving = byId("saving"), told = byId("told");
const expected = typed.elements.expected, by = saving.elements.by;
const first = pairs[0].label, STORED = `pytest-ftgate labels ${first.draw} ${first.instruction} ${first.place} ${pairs.length}`;
// One answer for each pair from the first on. They last as long as the browser keeps them.
let answers = [], saved = 0;
try {
  const kept = JSON.parse(localStorage.getItem(STORED) || "{}");
  if (Array.isArray(kept.answers)) answers = kept.answers.slice(0, pairs.length);
  by.value ||= kept.by || "";
} catch { /* no storage */ }
const keep = () => { try { localStorage.setItem(STORED, JSON.stringify({ answers, by: by.value })); } catch { /* no storage */ } };

const choices = (pair) => keys[pair.replies.length > 1 ? "pair" : "single"];
const keyButton = (key, words, action) => {
  const button = createButton("", action);
  button.append(createElement("kbd", "", key), ` ${words}`);
  return button;
};
function box(title, content) {
  const section = createElement("section"), text = createElement("pre"), name = `h-${title.toLowerCase().replace(" ", "-")}`;
  const heading = createElement("h2", "", title);
  heading.id = name;
  text.dir = "auto"; text.tabIndex = 0;
  text.setAttribute("role", "region"); text.setAttribute("aria-labelledby", name);
  text.append(content);
  section.append(heading, text);
  return section;
}
// What differs is marked in both replies alike: neither of them is the old one.
function marked(replies) {
  const parts = replies.length > 1 && textParts(...replies);
  return replies.map((text, n) => {
    if (!parts) return escapeControls(text);
    const own = parts.filter(([kind]) => kind !== (n ? "del" : "ins"));
    return showParts(own.map(([kind, part]) => [kind && "mark", part]));
  });
}
function show() {
  const pair = pairs[answers.length];
  byId("count").textContent = `${answers.length} of ${pairs.length} labelled`;
  typed.hidden = true; expected.value = "";
  if (pair) {
    const replies = createElement("div", "two");
    replies.append(...marked(pair.replies).map((content, n) => box(`Reply ${n + 1}`, content)));
    article.replaceChildren(box("Input", escapeControls(pair.asked)), replies);
  } else article.replaceChildren(createElement("p", "lead", "Every pair has a label. Save them."));
  const buttons = pair ? Object.entries(choices(pair)).map(([key, [answer, words]]) => keyButton(key, words, () => answerPair(answer))) : [];
  if (pair) buttons.push(keyButton("e", pair.replies.length > 1 ? "neither, and type the right answer" : "wrong, and type the right answer", openTyped));
  if (answers.length) buttons.push(keyButton("u", "undo", undo));
  byId("answers").replaceChildren(...buttons);
  article.focus({ preventScroll: true });
  scrollTo(0, 0);
}
function answerPair(answer, right) {
  answers.push(right ? { answer, expected: right } : { answer });
  keep(); show();
}
function undo() { answers.pop(); saved = Math.min(saved, answers.length); keep(); show(); }
function openTyped() { typed.hidden = false; expected.focus(); }

// Save ------------------------------------------------------------------------------------
function lines() {
  if (!by.value.trim()) { told.textContent = "Write your name first."; by.focus(); return ""; }
  told.textContent = "";
  keep();
  return answers.map((one, n) => JSON.stringify({ ...pairs[n].label, ...one, by: by.value.trim() }) + "\n").join("");
}
const fileName = () => `labels-${by.value.trim().replace(/[^\p{L}\p{N}]+/gu, "-")}.jsonl`;
function save() {
  const text = lines();
  if (!text) return;
  const link = createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  saved = answers.length;
  told.textContent = `${answers.length} labels saved as ${link.download}.`;
}
saving.hidden = false;
saving.addEventListener("submit", (event) => { event.preventDefault(); save(); });
byId("copy").addEventListener("click", ({ currentTarget }) => { const text = lines(); if (text) { copyText(text, currentTarget); saved = answers.length; } });
typed.addEventListener("submit", (event) => {
  event.preventDefault();
  if (expected.value.trim()) answerPair("neither", expected.value.trim()); else expected.focus();
});
addEventListener("beforeunload", (event) => { if (answers.length > saved) event.preventDefault(); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key === "Escape" && !typed.hidden) { typed.hidden = true; article.focus(); return; }
  if (event.target.tagName === "INPUT") return;
  const key = event.key.toLowerCase(), pair = pairs[answers.length], choice = pair && choices(pair)[key];
  if (choice) answerPair(choice[0]);
  else if (key === "e" && pair) openTyped();
  else if (key === "u" && answers.length) undo();
  else if (key === "q") save();
  else return;
  // The key that opens a field is none of its text.
  event.preventDefault();
});
show();
root.dataset.ready = "yes";
