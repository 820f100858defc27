
// The cases -------------------------------------------------------------------------------
const packed = byId("packed");
const KIND_LABELS = { regressed: "regressed", fixed: "fixed", wrong: "wrong", right: "right", missing: "no reply" };
const SIGNS = { regressed: "✕", wrong: "✕", fixed: "✓", right: "✓", missing: "–" };
const PAGE_SIZE = matchMedia("(max-width: 40rem)").matches ? 10 : 20, MOST_RERUN = 50;
// Indices into an answer, as in case_data.py.
const CORRECT = 1, VALID = 2, REPEATS = 3, TEXT = 4, FORMAT_ERROR = 5, CONTENT_ERROR = 6, MS = 7, INPUT = 8, OUTPUT = 9, USD = 10, STOP = 11, TOOL_CALLS = 12, PASSAGES = 13, THOUGHT = 14, SAID = 15;

async function unpack() {
  const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

function explore({ suites, texts }) {
  const form = byId("filters"), list = byId("list"), count = byId("count"), more = byId("more"), tools = byId("tools"), chips = byId("chips");
  const field = (name) => form.elements[name], views = [...document.querySelectorAll(".switch button")];
  const lowerTexts = new Map();
  // A case and two labels are chosen by links alone, and shown as chips that take them back.
  const chosen = { case: "", expected: "", said: "" };
  let rows = [], cases = [], shown = 0;

  const readCase = (suite, raw) => ({
    suite, id: raw[0], isSkill: raw[1] === 1, location: raw[2], input: raw[3], expected: raw[4], tags: raw[5],
    answers: new Map(raw[6].map((answer) => [answer[0], answer])), label: raw[7],
  });
  for (const suite of suites) suite.cases = suite.cases.map((raw) => readCase(suite, raw));

  const lowerText = (index) => {
    if (index < 0) return "";
    let text = lowerTexts.get(index);
    if (text === undefined) lowerTexts.set(index, text = texts[index].toLowerCase());
    return text;
  };
  const matches = (evalCase, words) => {
    if (evalCase.id.toLowerCase().includes(words) || lowerText(evalCase.input).includes(words) || lowerText(evalCase.expected).includes(words)) return true;
    for (const answer of evalCase.answers.values()) if (lowerText(answer[TEXT]).includes(words)) return true;
    return false;
  };

  // The filters, in the form and in the address ---------------------------------------------
  function fillSelect(name, options, allLabel) {
    const select = field(name), before = select.value;
    select.replaceChildren(...(allLabel ? [new Option(allLabel, "")] : []), ...options.map(([text, value]) => new Option(escapeControls(text), value)));
    if ([...select.options].some((option) => option.value === before)) select.value = before;
    select.parentElement.hidden = select.options.length < 2;
  }
  // Files of answers that were compared are no suite, so that pytest cannot run their cases.
  const isSuiteFile = (suite) => /\.ya?ml$/.test(suite.name);
  const selectedSuite = () => suites[Number(field("suite").value) || 0];
  const gateVariants = (suite, isSkill) => (suite.shown ||= {})[isSkill] ||= suite.variants.map((name, index) => [name, index])
    .filter(([, index]) => suite.cases.some((evalCase) => evalCase.isSkill === isSkill && evalCase.answers.has(index)));
  function fillFilters() {
    const suite = selectedSuite();
    const has = (isSkill) => suite.cases.some((evalCase) => evalCase.isSkill === isSkill);
    fillSelect("gate", [...(has(false) ? [["accuracy", "accuracy"], ["format", "format"]] : []), ...(has(true) ? [["forgetting", "forgetting"]] : [])]);
    const isSkill = field("gate").value === "forgetting";
    fillSelect("variant", gateVariants(suite, isSkill), "all");
    const tags = new Set(suite.cases.filter((evalCase) => evalCase.isSkill === isSkill).flatMap((evalCase) => evalCase.tags));
    fillSelect("tag", [...tags].sort().map((tag) => [tag, tag]), "all");
  }
  fillSelect("suite", suites.map((suite, index) => [suite.name, index]));
  fillSelect("kind", [["regressed", "regressed"], ["fixed", "fixed"], ["still wrong", "wrong"], ["right", "right"], ["no reply", "missing"]], "all");
  fillFilters();

  const PLAIN_FIELDS = ["kind", "tag", "order", "view"];
  function currentAddress(more = {}) {
    const suite = selectedSuite(), variant = field("variant").value;
    const values = {
      ...(suites.length > 1 ? { suite: suite.name } : {}), gate: field("gate").value, variant: variant === "" ? "" : suite.variants[Number(variant)],
      ...Object.fromEntries(PLAIN_FIELDS.map((name) => [name, field(name).value])), words: field("words").value, ...chosen, ...more,
    };
    if (values.order === "case") delete values.order;
    if (values.view === "list") delete values.view;
    return `#${new URLSearchParams(Object.entries(values).filter(([, value]) => value))}`;
  }
  // Some viewers of artifacts allow no change of the address.
  const writeAddress = () => { try { history.replaceState(null, "", currentAddress()); } catch { /* the filters work all the same */ } };
  function readAddress(hash) {
    const values = new URLSearchParams(hash.slice(1)), get = (name) => values.get(name) || "";
    const wanted = get("case"), found = (suite) => suite.cases.find((evalCase) => evalCase.id === wanted);
    const suiteIndex = suites.findIndex((suite) => get("suite") ? suite.name === get("suite") : !wanted || found(suite));
    field("suite").value = String(Math.max(0, suiteIndex));
    fillFilters();
    field("gate").value = get("gate") || (found(selectedSuite())?.isSkill ? "forgetting" : field("gate").options[0]?.value || "");
    if (!field("gate").value) field("gate").selectedIndex = 0;
    fillFilters();
    const variantIndex = selectedSuite().variants.indexOf(get("variant"));
    field("variant").value = variantIndex < 0 ? "" : String(variantIndex);
    for (const name of PLAIN_FIELDS) {
      field(name).value = get(name);
      if (field(name).selectedIndex < 0) field(name).selectedIndex = 0;
    }
    field("words").value = get("words");
    for (const name of Object.keys(chosen)) chosen[name] = get(name);
    applyFilters();
  }
  function fillChips() {
    const words = { case: "case", expected: "expected", said: "said" };
    chips.replaceChildren(...Object.keys(chosen).filter((name) => chosen[name]).map((name) => createButton(`${words[name]}: ${chosen[name]} ✕`, () => {
      chosen[name] = "";
      applyFilters();
      writeAddress();
      field("words").focus();
    })));
    chips.hidden = !chips.children.length;
  }

  // The choice of replies -------------------------------------------------------------------
  function kindOf(now, before, score) {
    const value = now[score], valueBefore = before ? before[score] : null;
    if (now[REPEATS] === 0) return "missing";
    if (value === null) return "";
    if (valueBefore !== null && value < valueBefore) return "regressed";
    if (valueBefore !== null && value > valueBefore) return "fixed";
    return value >= 1 ? "right" : "wrong";
  }
  // All replies that a gate is about, with what became of them; made once for each gate.
  function gateReplies(suite, gate) {
    const kept = (suite.replies ||= {});
    if (kept[gate]) return kept[gate];
    const score = gate === "format" ? VALID : CORRECT, replies = [];
    for (const evalCase of suite.cases) {
      if (evalCase.isSkill !== (gate === "forgetting")) continue;
      for (const [index, now] of evalCase.answers) {
        const base = evalCase.isSkill ? suite.bases[index] : suite.baseline, before = base >= 0 && base !== index ? evalCase.answers.get(base) : undefined;
        const kind = kindOf(now, before, score);
        if (kind) replies.push({ evalCase, index, now, before, kind });
      }
    }
    return (kept[gate] = replies);
  }
  function applyFilters() {
    const suite = selectedSuite(), variant = field("variant").value === "" ? -1 : Number(field("variant").value);
    const kind = field("kind").value, tag = field("tag").value, words = field("words").value.trim().toLowerCase();
    const labelIndex = (name) => chosen[name] ? suite.labels?.indexOf(chosen[name]) ?? -1 : null;
    const expected = labelIndex("expected"), said = chosen.said === "no label" ? suite.labels?.length : labelIndex("said");
    let total = 0, last = null, fits = false;
    rows = [];
    for (const reply of gateReplies(suite, field("gate").value)) {
      if (variant >= 0 && reply.index !== variant) continue;
      total += 1;
      if (kind && reply.kind !== kind) continue;
      if (said !== null && reply.now[SAID] !== said) continue;
      const evalCase = reply.evalCase;
      if (evalCase !== last) {
        last = evalCase;
        fits = (!chosen.case || evalCase.id === chosen.case) && (!tag || evalCase.tags.includes(tag)) &&
          (expected === null || evalCase.label === expected) && (!words || matches(evalCase, words));
      }
      if (fits) rows.push(reply);
    }
    sortRows(field("order").value);
    cases = isMatrix() ? [...new Set(rows.map((row) => row.evalCase))] : [];
    shown = 0;
    list.replaceChildren();
    count.textContent = isMatrix() ? `${numberFormat.format(cases.length)} cases with ${numberFormat.format(rows.length)} of ${numberFormat.format(total)} replies`
      : `${numberFormat.format(rows.length)} of ${numberFormat.format(total)} replies`;
    fillChips();
    views.forEach((button) => button.setAttribute("aria-pressed", String(button.value === field("view").value)));
    tools.hidden = !rows.length;
    byId("rerun").hidden = field("gate").value === "forgetting" || !isSuiteFile(suite);
    if (isMatrix() && cases.length) list.append(matrixElement());
    showMore();
  }
  function sortRows(order) {
    const key = {
      id: (row) => row.evalCase.id, slow: (row) => -row.now[MS], long: (row) => -(texts[row.now[TEXT]] || "").length,
      tokens: (row) => -(row.now[INPUT] + row.now[OUTPUT]),
    }[order];
    if (key) rows.sort((x, y) => { const a = key(x), b = key(y); return a < b ? -1 : a > b ? 1 : 0; });
  }
  function showMore() {
    const items = isMatrix() ? cases : rows, next = items.slice(shown, shown + PAGE_SIZE);
    if (isMatrix()) list.querySelector("tbody")?.append(...next.map(matrixRow));
    else list.append(...next.map(caseElement));
    shown = Math.min(items.length, shown + PAGE_SIZE);
    more.hidden = shown >= items.length;
    more.textContent = `Show ${Math.min(PAGE_SIZE, items.length - shown)} more`;
  }

  // One case a row, one variant a column ----------------------------------------------------
  const isMatrix = () => field("view").value === "matrix";
  // Variants with one reply each to every case, such as bases of one model, share a column.
  function gateColumns() {
    const suite = selectedSuite(), gate = field("gate").value, kept = (suite.columns ||= {});
    if (kept[gate]) return kept[gate];
    const isSkill = gate === "forgetting", columns = new Map(), bases = new Set(suite.bases);
    for (const [name, index] of gateVariants(suite, isSkill)) {
      const said = isSkill && bases.has(index) ? suite.cases.filter((evalCase) => evalCase.isSkill).map(({ answers }) => answers.get(index)?.[TEXT] < 0 ? `of ${index}` : answers.get(index)?.[TEXT]).join() : index;
      if (columns.has(said)) columns.get(said)[0] += `, ${name}`; else columns.set(said, [name, index]);
    }
    // What the others are compared with comes first.
    return (kept[gate] = [...columns.values()].sort(([, x], [, y]) => (isSkill ? bases.has(y) - bases.has(x) : (y === suite.baseline) - (x === suite.baseline))));
  }
  const repliesByCase = () => {
    const suite = selectedSuite(), gate = field("gate").value, kept = (suite.byCase ||= {});
    if (!kept[gate]) {
      kept[gate] = new Map();
      for (const reply of gateReplies(suite, gate)) { if (!kept[gate].has(reply.evalCase)) kept[gate].set(reply.evalCase, new Map()); kept[gate].get(reply.evalCase).set(reply.index, reply); }
    }
    return kept[gate];
  };
  const isRight = (reply) => reply && (reply.kind === "right" || reply.kind === "fixed");
  function matrixElement() {
    const scroll = createElement("div", "scroll full"), table = createElement("table", "matrix"), head = createElement("tr"), byCase = repliesByCase();
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Cases by variants");
    const header = (name, note) => { const cell = createElement("th", "", name); cell.scope = "col"; if (note) cell.append(createElement("span", "muted", note)); return cell; };
    head.append(header("case"));
    for (const [name, index] of gateColumns()) {
      const right = cases.reduce((sum, evalCase) => sum + (isRight(byCase.get(evalCase)?.get(index)) ? 1 : 0), 0);
      head.append(header(name, `${numberFormat.format(right)} of ${numberFormat.format(cases.length)} right`));
    }
    table.append(createElement("thead"), createElement("tbody"));
    table.tHead.append(head);
    scroll.append(table);
    return scroll;
  }
  function matrixRow(evalCase) {
    const row = createElement("tr"), name = createElement("th", "", evalCase.id), byIndex = repliesByCase().get(evalCase);
    name.scope = "row";
    name.append(createElement("span", "muted", oneLine(texts[evalCase.input], 400)));
    if (evalCase.expected) name.append(createElement("span", "muted expected", "expected " + oneLine(texts[evalCase.expected], 200)));
    row.append(name);
    for (const [variantName, index] of gateColumns()) {
      const cell = createElement("td"), reply = byIndex?.get(index);
      if (reply) {
        const button = createButton("", () => toggleDetails(row, reply, button), `cell ${reply.kind}`);
        button.setAttribute("aria-label", `${evalCase.id}, ${variantName}: ${KIND_LABELS[reply.kind]}`);
        button.setAttribute("aria-expanded", "false");
        button.append(createElement("span", "sign", SIGNS[reply.kind]), createElement("span", "", oneLine(answerText(reply.now), 400)));
        cell.append(button);
      }
      row.append(cell);
    }
    return row;
  }
  function toggleDetails(row, reply, button) {
    const open = row.nextElementSibling?.classList.contains("opened") ? row.nextElementSibling : null, wasOpen = button.getAttribute("aria-expanded") === "true";
    open?.remove();
    row.querySelectorAll("button").forEach((other) => other.setAttribute("aria-expanded", "false"));
    if (wasOpen) return;
    const details = createElement("tr", "opened"), cell = createElement("td");
    cell.colSpan = row.cells.length;
    cell.append(caseDetails(reply));
    details.append(cell);
    row.after(details);
    button.setAttribute("aria-expanded", "true");
  }

  // One reply ---------------------------------------------------------------------------------
  const oneLine = (text, most) => text.slice(0, most + 1).replace(/\s+/g, " ").trim().slice(0, most) + (text.length > most ? "…" : "");
  function caseElement(row) {
    const box = createElement("details", "case"), head = createElement("summary");
    head.append(createElement("span", "id", row.evalCase.id), createElement("span", `badge ${row.kind}`, KIND_LABELS[row.kind]),
      createElement("span", "input", oneLine(texts[row.evalCase.input], 300)), replyLine(row));
    if (field("variant").value === "") head.append(createElement("span", "variant muted", row.evalCase.suite.variants[row.index]));
    box.append(head);
    box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(caseDetails(row)); });
    return box;
  }
  // What was said before, or should have been, and what is said now, from where both differ.
  function replyLine({ evalCase, now, before, kind }) {
    const line = createElement("span", `reply ${kind}`), said = answerText(now), was = before ? answerText(before) : kind === "wrong" ? texts[evalCase.expected] : "";
    let same = 0;
    if (was !== said) while (same < said.length && was[same] === said[same]) same++;
    const start = same > 40 ? said.lastIndexOf(" ", same - 20) + 1 : 0, from = (text) => (start ? "…" : "") + oneLine(text.slice(start), 160);
    if (was && was !== said) line.append(createElement("span", "was", `${before ? "" : "expected "}${from(was)}`), createElement("i", "muted", "→"));
    line.append(createElement("b", "", from(said)));
    return line;
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
  const answerText = (answer) => answer[REPEATS] === 0 ? "(no reply)" : answer[TEXT] < 0 ? "(left out for size; the run record has it)" : texts[answer[TEXT]] || (answer[THOUGHT] > 0 ? "(a thought alone)" : "(empty)");
  const beforeName = ({ evalCase, index }) => evalCase.suite.variants[evalCase.isSkill ? evalCase.suite.bases[index] : evalCase.suite.baseline];

  function caseDetails(row) {
    const { evalCase, index, now, before } = row, suite = evalCase.suite;
    const box = createElement("div", "inside"), pair = createElement("div", "two"), system = texts[suite.systems[index]], expected = texts[evalCase.expected];
    if (system && !evalCase.isSkill) box.append(foldedBlock("System prompt", system));
    box.append(textBlock("Prompt", texts[evalCase.input], evalCase.location));
    if (expected) box.append(textBlock("Expected", expected));
    if (before) pair.append(answerBlock(`Before: ${beforeName(row)}`, before));
    pair.append(answerBlock(`Now: ${suite.variants[index]}`, now));
    box.append(pair);
    const differences = differenceBlock(expected, before, now);
    if (differences) box.append(differences);
    if (now[FORMAT_ERROR]) box.append(textBlock(now[REPEATS] ? "Format error" : "Why there is none", texts[now[FORMAT_ERROR]]));
    if (now[CONTENT_ERROR]) box.append(textBlock("What is wrong", texts[now[CONTENT_ERROR]]));
    if (now[TOOL_CALLS].length) box.append(textBlock("Tools it called", now[TOOL_CALLS].map((text) => texts[text]).join("\n")));
    if (now[PASSAGES].length) box.append(textBlock("Passages it was given", now[PASSAGES].map((text) => texts[text]).join("\n\n")));
    if (evalCase.tags.length) box.append(createElement("p", "muted small", `tags: ${evalCase.tags.join(", ")}`));
    box.append(caseTools(row));
    return box;
  }
  // Before and now, expected and now: those that share enough, the first one shown.
  function differenceBlock(expected, before, now) {
    if (now[TEXT] <= 0) return null;
    const text = texts[now[TEXT]], diffs = [["Before → now", before && before[TEXT] > 0 && textDiff(texts[before[TEXT]], text)], ["Expected → now", expected && textDiff(expected, text)]].filter(([, diff]) => diff);
    if (!diffs.length) return null;
    const box = createElement("div", "differences"), tabs = createElement("p", "label"), body = createElement("pre");
    body.tabIndex = 0;
    const show = (chosenIndex) => {
      body.replaceChildren(diffs[chosenIndex][1].cloneNode(true));
      [...tabs.children].forEach((tab, n) => tab.setAttribute("aria-pressed", String(n === chosenIndex)));
    };
    if (diffs.length > 1) tabs.append(...diffs.map(([title], n) => createButton(title, () => show(n), "small")));
    else tabs.textContent = diffs[0][0];
    show(0);
    box.append(tabs, body);
    return box;
  }
  function caseTools({ evalCase, index }) {
    const box = createElement("p", "tools"), gate = field("gate").value;
    const address = currentAddress({ gate, case: evalCase.id, variant: evalCase.suite.variants[index], kind: "", tag: "", words: "", view: "", order: "", expected: "", said: "" });
    box.append(createButton("Copy link to this case", (button) => copyText(location.href.split("#")[0] + address, button), "small"));
    if (evalCase.isSkill || !isSuiteFile(evalCase.suite)) return box;
    box.append(createButton("Copy command that runs it", (button) => copyText(rerunCommand(evalCase.suite, [evalCase.id]), button), "small"));
    const inYaml = /\.ya?ml(:\d+)?$/.test(evalCase.location), key = inYaml ? "must_pass: true" : '"must_pass": true';
    const note = createElement("span", "muted small", "makes this case decisive: add it to ");
    note.append(createElement("code", "", evalCase.location));
    box.append(createButton(`Copy ${key}`, (button) => copyText(key, button), "small"), note);
    return box;
  }

  // Ways out of the page ------------------------------------------------------------------------
  const shellWord = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
  const rerunCommand = (suite, ids) => ["pytest --ftgate", ...ids.map((id) => `--ftgate-case=${shellWord(id)}`), shellWord(suite.name)].join(" ");
  const shownIds = () => [...new Set(rows.map((row) => row.evalCase.id))];
  const storedText = (answer) => !answer || answer[REPEATS] === 0 || answer[TEXT] < 0 ? null : texts[answer[TEXT]];
  function jsonLines() {
    return rows.map((row) => JSON.stringify({
      suite: row.evalCase.suite.name, id: row.evalCase.id, gate: field("gate").value, variant: row.evalCase.suite.variants[row.index], outcome: KIND_LABELS[row.kind],
      input: texts[row.evalCase.input], expected: texts[row.evalCase.expected], before: storedText(row.before), now: storedText(row.now),
      format_error: texts[row.now[FORMAT_ERROR]] || "", wrong: texts[row.now[CONTENT_ERROR]] || "", tags: row.evalCase.tags, location: row.evalCase.location,
    }) + "\n").join("");
  }
  byId("save").addEventListener("click", () => {
    const link = createElement("a"), kind = field("kind").value || "all";
    link.href = URL.createObjectURL(new Blob([jsonLines()], { type: "application/jsonl" }));
    link.download = `${kind}-cases.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
  byId("rerun").addEventListener("click", ({ currentTarget }) => copyText(rerunCommand(selectedSuite(), shownIds().slice(0, MOST_RERUN)), currentTarget));
  byId("link").addEventListener("click", ({ currentTarget }) => copyText(location.href.split("#")[0] + currentAddress(), currentTarget));

  // Events ----------------------------------------------------------------------------------------
  let searchTimer = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "suite" || event.target.name === "gate") fillFilters();
    clearTimeout(searchTimer);
    const apply = () => { applyFilters(); writeAddress(); };
    if (event.target.name === "words") searchTimer = setTimeout(apply, 30); else apply();
  });
  for (const button of views) button.addEventListener("click", () => { field("view").value = button.value; applyFilters(); writeAddress(); });
  more.addEventListener("click", () => {
    const firstNew = shown;
    showMore();
    stops()[firstNew]?.focus();
  });
  const stops = () => [...list.querySelectorAll(isMatrix() ? "tbody tr:not(.opened) td:first-of-type button" : ".case > summary")];
  const isRegressed = (stop) => Boolean(stop.closest("details, tr").querySelector(".regressed"));
  function moveTo(step, fits = () => true) {
    const all = stops(), at = all.findIndex((stop) => stop.closest("details, tr").contains(document.activeElement));
    let next = at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step;
    while (all[next] && !fits(all[next])) next += step;
    if (!all[next] && step > 0 && !more.hidden) { showMore(); return moveTo(step, fits); }
    all[next]?.focus();
    all[next]?.scrollIntoView({ block: "nearest" });
  }
  const KEYS = { "/": () => { byId("cases").scrollIntoView(); field("words").focus(); }, j: () => moveTo(1), k: () => moveTo(-1), n: () => moveTo(1, isRegressed) };
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  const followAddress = () => {
    if (!location.hash.includes("=")) return false;
    readAddress(location.hash);
    byId(chosen.case ? "chips" : "cases").scrollIntoView();
    const first = stops()[0];
    first?.focus({ preventScroll: true });
    if (chosen.case && first?.parentElement.tagName === "DETAILS") first.parentElement.open = true;
    return true;
  };
  addEventListener("hashchange", followAddress);
  // A link to the address that the page has already changes nothing, so it is followed by hand.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]'), href = link?.getAttribute("href");
    if (href?.includes("=") && href === location.hash) followAddress();
  });

  form.hidden = false;
  byId("keys").hidden = false;
  if (!followAddress()) {
    const worst = document.querySelector(".hero a.button"), first = document.querySelector(".to-cases");
    if (worst) readAddress(worst.hash); else if (first) readAddress(first.hash.replace("&kind=regressed", "")); else applyFilters();
  }
  root.dataset.ready = "yes";
}

if (packed) unpack().then(explore).catch((error) => {
  byId("count").textContent = `The cases cannot be shown in this browser (${error.message}); the run record has them.`;
});
