"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;

  // Light and dark -------------------------------------------------------------------------
  const themeButton = byId("theme");
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const labelTheme = () => { themeButton.textContent = isDark() ? "Light" : "Dark"; };
  themeButton.hidden = false;
  themeButton.setAttribute("aria-label", "Switch between light and dark");
  themeButton.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; labelTheme(); });
  labelTheme();
  addEventListener("beforeprint", () => document.querySelectorAll("details.card").forEach((card) => { card.open = true; }));
  const openTarget = () => {
    const target = location.hash.length > 1 && byId(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  // The cases -----------------------------------------------------------------------------
  const packed = byId("packed");
  if (!packed) return;
  const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
  const escapeCharacter = (c) => c === "\n" ? c : c === "\t" ? " " : "\\u" + c.codePointAt(0).toString(16).padStart(4, "0");
  const escapeControls = (text) => text.replace(CONTROLS, escapeCharacter);
  const createElement = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = escapeControls(String(text));
    return element;
  };
  const KIND_LABELS = { regressed: "regressed", fixed: "fixed", wrong: "wrong", right: "right", missing: "no reply" };
  const PAGE_SIZE = 20;

  async function unpack() {
    const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return JSON.parse(await new Response(stream).text());
  }

  function explore({ suites, texts }) {
    const form = byId("filters"), list = byId("list"), count = byId("count"), more = byId("more");
    const field = (name) => form.elements[name];
    const numberFormat = new Intl.NumberFormat("en");
    const lowerTexts = new Map();
    let rows = [], shown = 0;

    const readCase = (suite, raw) => ({
      suite, id: raw[0], isSkill: raw[1] === 1, location: raw[2], input: raw[3], expected: raw[4], tags: raw[5],
      answers: new Map(raw[6].map((answer) => [answer[0], answer])),
    });
    // Indices into an answer, as in case_data.py.
    const CORRECT = 1, VALID = 2, REPEATS = 3, TEXT = 4, FORMAT_ERROR = 5, CONTENT_ERROR = 6, MS = 7, INPUT = 8, OUTPUT = 9, USD = 10, STOP = 11, TOOL_CALLS = 12, PASSAGES = 13, THOUGHT = 14;
    for (const suite of suites) suite.cases = suite.cases.map((raw) => readCase(suite, raw));

    const lowerText = (index) => {
      if (index < 0) return "";
      let text = lowerTexts.get(index);
      if (text === undefined) lowerTexts.set(index, text = texts[index].toLowerCase());
      return text;
    };
    const matches = (evalCase, words) => evalCase.id.toLowerCase().includes(words) || lowerText(evalCase.input).includes(words) ||
      lowerText(evalCase.expected).includes(words) || [...evalCase.answers.values()].some((answer) => lowerText(answer[TEXT]).includes(words));

    function fillSelect(name, options, allLabel) {
      const select = field(name), before = select.value;
      select.replaceChildren(...(allLabel ? [new Option(allLabel, "")] : []), ...options.map(([text, value]) => new Option(escapeControls(text), value)));
      if ([...select.options].some((option) => option.value === before)) select.value = before;
      select.parentElement.hidden = select.options.length < 2;
    }
    const selectedSuite = () => suites[Number(field("suite").value) || 0];
    function fillFilters() {
      const suite = selectedSuite();
      const has = (isSkill) => suite.cases.some((evalCase) => evalCase.isSkill === isSkill);
      fillSelect("gate", [...(has(false) ? [["accuracy", "accuracy"], ["format", "format"]] : []), ...(has(true) ? [["forgetting", "forgetting"]] : [])]);
      const isSkill = field("gate").value === "forgetting";
      const variants = suite.variants.map((name, index) => [name, index])
        .filter(([, index]) => suite.cases.some((evalCase) => evalCase.isSkill === isSkill && evalCase.answers.has(index)));
      fillSelect("variant", variants, "all");
      const tags = new Set(suite.cases.filter((evalCase) => evalCase.isSkill === isSkill).flatMap((evalCase) => evalCase.tags));
      fillSelect("tag", [...tags].sort().map((tag) => [tag, tag]), "all");
    }
    fillSelect("suite", suites.map((suite, index) => [suite.name, index]));
    fillSelect("kind", [["regressed", "regressed"], ["fixed", "fixed"], ["still wrong", "wrong"], ["right", "right"], ["no reply", "missing"]], "all");
    fillFilters();

    const answerBefore = (evalCase, index) => {
      const suite = evalCase.suite, base = evalCase.isSkill ? suite.bases[index] : suite.baseline;
      return base >= 0 && base !== index ? evalCase.answers.get(base) : undefined;
    };
    function kindOf(now, before, score) {
      const value = now[score], valueBefore = before ? before[score] : null;
      if (now[REPEATS] === 0) return "missing";
      if (value === null) return "";
      if (valueBefore !== null && value < valueBefore) return "regressed";
      if (valueBefore !== null && value > valueBefore) return "fixed";
      return value >= 1 ? "right" : "wrong";
    }

    function applyFilters() {
      const suite = selectedSuite(), gate = field("gate").value, score = gate === "format" ? VALID : CORRECT;
      const variant = field("variant").value, selectedKind = field("kind").value, tag = field("tag").value;
      const words = field("words").value.trim().toLowerCase();
      let total = 0;
      rows = [];
      for (const evalCase of suite.cases) {
        if (evalCase.isSkill !== (gate === "forgetting")) continue;
        const fits = (!tag || evalCase.tags.includes(tag)) && (!words || matches(evalCase, words));
        for (const [index, now] of evalCase.answers) {
          if (variant !== "" && Number(variant) !== index) continue;
          const before = answerBefore(evalCase, index), kind = kindOf(now, before, score);
          if (!kind) continue;
          total += 1;
          if (fits && (!selectedKind || kind === selectedKind)) rows.push({ evalCase, index, now, before, kind });
        }
      }
      sortRows(field("order").value);
      shown = 0;
      list.replaceChildren();
      count.textContent = `${numberFormat.format(rows.length)} of ${numberFormat.format(total)} replies`;
      showMore();
    }
    function sortRows(order) {
      const key = {
        id: (row) => row.evalCase.id, slow: (row) => -row.now[MS], long: (row) => -(texts[row.now[TEXT]] || "").length,
        tokens: (row) => -(row.now[INPUT] + row.now[OUTPUT]),
      }[order];
      if (key) rows.sort((x, y) => (key(x) < key(y) ? -1 : key(x) > key(y) ? 1 : 0));
    }
    function showMore() {
      const fragment = document.createDocumentFragment();
      for (const row of rows.slice(shown, shown + PAGE_SIZE)) fragment.append(caseElement(row));
      list.append(fragment);
      shown = Math.min(rows.length, shown + PAGE_SIZE);
      more.hidden = shown >= rows.length;
      more.textContent = `Show ${Math.min(PAGE_SIZE, rows.length - shown)} more`;
    }

    function caseElement(row) {
      const box = createElement("details", "case"), head = createElement("summary");
      head.append(createElement("span", "id", row.evalCase.id), createElement("span", `badge ${row.kind}`, KIND_LABELS[row.kind]),
        createElement("span", "input", texts[row.evalCase.input].slice(0, 300).replace(/\s+/g, " ")), createElement("span", "muted", row.evalCase.suite.variants[row.index]));
      box.append(head);
      box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(caseDetails(row)); });
      return box;
    }
    function textBlock(title, text, note) {
      const box = createElement("div"), head = createElement("p", "label", title), body = createElement("pre");
      body.tabIndex = 0;
      if (note) head.append(createElement("span", "", note));
      if (text instanceof Node) body.append(text); else body.textContent = escapeControls(text);
      box.append(head, body);
      return box;
    }
    function foldedBlock(title, text) {
      const box = createElement("details"), body = createElement("pre", "", text);
      body.tabIndex = 0;
      box.append(createElement("summary", "muted small", title), body);
      return box;
    }
    function answerBlock(title, answer) {
      const box = textBlock(title, answerText(answer), usage(answer));
      if (answer[THOUGHT] > 0) box.append(foldedBlock("Thought", texts[answer[THOUGHT]]));
      return box;
    }
    const usage = (answer) => [
      answer[MS] ? `${numberFormat.format(answer[MS])} ms` : "", answer[INPUT] + answer[OUTPUT] ? `${numberFormat.format(answer[INPUT])} + ${numberFormat.format(answer[OUTPUT])} tokens` : "",
      answer[USD], answer[STOP] && answer[STOP] !== "end" ? `stopped: ${answer[STOP]}` : "", answer[REPEATS] > 1 ? `first of ${answer[REPEATS]}` : "",
    ].filter(Boolean).join(" · ");
    const answerText = (answer) => answer[REPEATS] === 0 ? "(no reply)" : answer[TEXT] < 0 ? "(left out for size; the run record has it)" : texts[answer[TEXT]] || "(empty)";

    function caseDetails({ evalCase, index, now, before }) {
      const box = createElement("div", "inside"), suite = evalCase.suite, pair = createElement("div", "two");
      const system = texts[suite.systems[index]];
      if (system && !evalCase.isSkill) box.append(foldedBlock("System prompt", system));
      box.append(textBlock("Prompt", texts[evalCase.input], evalCase.location));
      const expected = texts[evalCase.expected];
      if (expected) box.append(textBlock("Expected", expected));
      if (before) pair.append(answerBlock(`Before: ${suite.variants[evalCase.isSkill ? suite.bases[index] : suite.baseline]}`, before));
      pair.append(answerBlock(`Now: ${suite.variants[index]}`, now));
      box.append(pair);
      const diff = expected && now[TEXT] > 0 && wordDiff(expected, texts[now[TEXT]]);
      if (diff) box.append(textBlock("Expected and got, word by word", diff));
      if (now[FORMAT_ERROR]) box.append(textBlock(now[REPEATS] ? "Format error" : "Why there is none", texts[now[FORMAT_ERROR]]));
      if (now[CONTENT_ERROR]) box.append(textBlock("What is wrong", texts[now[CONTENT_ERROR]]));
      if (now[TOOL_CALLS].length) box.append(textBlock("Tools it called", now[TOOL_CALLS].map((text) => texts[text]).join("\n")));
      if (now[PASSAGES].length) box.append(textBlock("Passages it was given", now[PASSAGES].map((text) => texts[text]).join("\n\n")));
      if (evalCase.tags.length) box.append(createElement("p", "muted small", `tags: ${evalCase.tags.join(", ")}`));
      return box;
    }

    // The longest common subsequence of words; null if the texts share too few of them.
    function wordDiff(before, after) {
      const a = before.split(/(\s+)/).filter(Boolean), b = after.split(/(\s+)/).filter(Boolean);
      if (a.length < 3 || a.length > 400 || b.length > 400 || before === after) return null;
      const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
      for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--)
        lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
      if (3 * lengths[0][0] < a.length) return null;
      const fragment = document.createDocumentFragment();
      let i = 0, j = 0;
      while (i < a.length || j < b.length) {
        if (i < a.length && j < b.length && a[i] === b[j]) { fragment.append(escapeControls(a[i])); i++; j++; }
        else if (i < a.length && (j === b.length || lengths[i + 1][j] >= lengths[i][j + 1])) fragment.append(createElement("del", "", a[i++]));
        else fragment.append(createElement("ins", "", b[j++]));
      }
      return fragment;
    }

    function showCases(suiteName, gate, variant, kind) {
      const suiteIndex = suites.findIndex((suite) => suite.name === suiteName);
      field("suite").value = String(Math.max(0, suiteIndex));
      fillFilters();
      field("gate").value = gate;
      fillFilters();
      const variantIndex = selectedSuite().variants.indexOf(variant);
      field("variant").value = variantIndex < 0 ? "" : String(variantIndex);
      field("kind").value = kind;
      field("tag").value = field("words").value = "";
      applyFilters();
    }
    let searchTimer = 0;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      if (event.target.name === "suite" || event.target.name === "gate") fillFilters();
      if (event.target.name !== "words") return applyFilters();
      clearTimeout(searchTimer);
      searchTimer = setTimeout(applyFilters, 60);
    });
    more.addEventListener("click", () => {
      const firstNew = shown;
      showMore();
      list.children[firstNew]?.querySelector("summary").focus();
    });
    let firstButton = null;
    for (const button of document.querySelectorAll(".to-cases")) {
      firstButton = firstButton || button;
      button.hidden = false;
      button.addEventListener("click", () => {
        showCases(button.dataset.suite, button.dataset.gate, button.dataset.variant, "regressed");
        byId("cases").scrollIntoView();
        list.querySelector("summary")?.focus({ preventScroll: true });
      });
    }
    form.hidden = false;
    if (firstButton) showCases(firstButton.dataset.suite, firstButton.dataset.gate, firstButton.dataset.variant, firstButton.closest("details").open ? "regressed" : "");
    else applyFilters();
    root.dataset.ready = "yes";
  }

  unpack().then(explore).catch((error) => {
    byId("count").textContent = `The cases cannot be shown in this browser (${error.message}); the run record has them.`;
  });
})();
