"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const root = document.documentElement;

  // Light and dark -------------------------------------------------------------------------
  const theme = at("theme");
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.setAttribute("aria-label", "Switch between light and dark");
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; label(); });
  label();
  addEventListener("beforeprint", () => document.querySelectorAll("details.card").forEach((one) => { one.open = true; }));
  const reveal = () => {
    const one = location.hash.length > 1 && at(location.hash.slice(1));
    if (one && one.tagName === "DETAILS") one.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  // The cases -----------------------------------------------------------------------------
  const packed = at("packed");
  if (!packed) return;
  const ACTS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
  const written = (c) => c === "\n" ? c : c === "\t" ? " " : "\\u" + c.codePointAt(0).toString(16).padStart(4, "0");
  const visible = (text) => text.replace(ACTS, written);
  const make = (tag, name, text) => {
    const one = document.createElement(tag);
    if (name) one.className = name;
    if (text !== undefined) one.textContent = visible(String(text));
    return one;
  };
  const KINDS = { lost: "lost", gained: "gained", wrong: "wrong", right: "right", missing: "no reply" };
  const PAGE = 20;

  async function unpacked() {
    const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return JSON.parse(await new Response(stream).text());
  }

  function explore({ suites, texts }) {
    const form = at("filters"), list = at("list"), count = at("count"), more = at("more");
    const field = (name) => form.elements[name];
    const number = new Intl.NumberFormat("en");
    const low = new Map();
    let rows = [], shown = 0;

    const read = (suite, raw) => ({
      suite, id: raw[0], skills: raw[1] === 1, where: raw[2], asked: raw[3], expected: raw[4], tags: raw[5],
      answers: new Map(raw[6].map((one) => [one[0], one])),
    });
    const CORRECT = 1, VALID = 2, REPEATS = 3, TEXT = 4, FAULT = 5, WRONG = 6, MS = 7, IN = 8, OUT = 9, USD = 10, STOP = 11, CALLED = 12, PASSAGES = 13;
    for (const suite of suites) suite.cases = suite.cases.map((raw) => read(suite, raw));

    const lower = (text) => {
      if (text < 0) return "";
      let found = low.get(text);
      if (found === undefined) low.set(text, found = texts[text].toLowerCase());
      return found;
    };
    const says = (one, words) => one.id.toLowerCase().includes(words) || lower(one.asked).includes(words) ||
      lower(one.expected).includes(words) || [...one.answers.values()].some((own) => lower(own[TEXT]).includes(words));

    function fill(name, options, all) {
      const select = field(name), before = select.value;
      select.replaceChildren(...(all ? [new Option(all, "")] : []), ...options.map(([text, value]) => new Option(visible(text), value)));
      if ([...select.options].some((one) => one.value === before)) select.value = before;
      select.parentElement.hidden = select.options.length < 2;
    }
    const suiteNow = () => suites[Number(field("suite").value) || 0];
    function refill() {
      const suite = suiteNow(), skills = field("gate").value === "forgetting";
      const has = (skill) => suite.cases.some((one) => one.skills === skill);
      fill("gate", [...(has(false) ? [["accuracy", "accuracy"], ["format", "format"]] : []), ...(has(true) ? [["forgetting", "forgetting"]] : [])]);
      const own = field("gate").value === "forgetting";
      const names = suite.variants.map((name, place) => [name, place])
        .filter(([, place]) => suite.cases.some((one) => one.skills === own && one.answers.has(place)));
      fill("variant", names, "all");
      const tags = new Set(suite.cases.filter((one) => one.skills === own).flatMap((one) => one.tags));
      fill("tag", [...tags].sort().map((tag) => [tag, tag]), "all");
      return skills;
    }
    fill("suite", suites.map((one, place) => [one.name, place]));
    fill("kind", [["lost", "lost"], ["gained", "gained"], ["still wrong", "wrong"], ["right", "right"], ["no reply", "missing"]], "all");
    refill();

    const beforeOf = (one, place) => {
      const suite = one.suite, base = one.skills ? suite.bases[place] : suite.baseline;
      return base >= 0 && base !== place ? one.answers.get(base) : undefined;
    };
    function kindOf(now, before, what) {
      const value = now[what], was = before ? before[what] : null;
      if (now[REPEATS] === 0) return "missing";
      if (value === null) return "";
      if (was !== null && value < was) return "lost";
      if (was !== null && value > was) return "gained";
      return value >= 1 ? "right" : "wrong";
    }

    function choose() {
      const suite = suiteNow(), gate = field("gate").value, what = gate === "format" ? VALID : CORRECT;
      const variant = field("variant").value, kind = field("kind").value, tag = field("tag").value;
      const words = field("words").value.trim().toLowerCase();
      let all = 0;
      rows = [];
      for (const one of suite.cases) {
        if (one.skills !== (gate === "forgetting")) continue;
        const fits = (!tag || one.tags.includes(tag)) && (!words || says(one, words));
        for (const [place, now] of one.answers) {
          if (variant !== "" && Number(variant) !== place) continue;
          const before = beforeOf(one, place), own = kindOf(now, before, what);
          if (!own) continue;
          all += 1;
          if (fits && (!kind || own === kind)) rows.push({ one, place, now, before, kind: own });
        }
      }
      const by = { id: (row) => row.one.id, slow: (row) => -row.now[MS], long: (row) => -(texts[row.now[TEXT]] || "").length, tokens: (row) => -(row.now[IN] + row.now[OUT]) }[field("order").value];
      if (by) rows.sort((x, y) => (by(x) < by(y) ? -1 : by(x) > by(y) ? 1 : 0));
      shown = 0;
      list.replaceChildren();
      count.textContent = `${number.format(rows.length)} of ${number.format(all)} replies`;
      next();
    }
    function next() {
      const part = document.createDocumentFragment();
      for (const row of rows.slice(shown, shown + PAGE)) part.append(card(row));
      list.append(part);
      shown = Math.min(rows.length, shown + PAGE);
      more.hidden = shown >= rows.length;
      more.textContent = `Show ${Math.min(PAGE, rows.length - shown)} more`;
    }

    function card(row) {
      const box = make("details", "case"), head = make("summary");
      head.append(make("span", "id", row.one.id), make("span", `badge ${row.kind}`, KINDS[row.kind]),
        make("span", "asked", texts[row.one.asked].slice(0, 300).replace(/\s+/g, " ")), make("span", "muted", row.one.suite.variants[row.place]));
      box.append(head);
      box.addEventListener("toggle", () => { if (box.open && box.children.length === 1) box.append(inside(row)); });
      return box;
    }
    function block(title, text, extra) {
      const box = make("div"), head = make("p", "label", title), body = make("pre");
      body.tabIndex = 0;
      if (extra) head.append(make("span", "", extra));
      if (text instanceof Node) body.append(text); else body.textContent = visible(text);
      box.append(head, body);
      return box;
    }
    const took = (one) => [
      one[MS] ? `${number.format(one[MS])} ms` : "", one[IN] + one[OUT] ? `${number.format(one[IN])} + ${number.format(one[OUT])} tokens` : "",
      one[USD], one[STOP] && one[STOP] !== "end" ? `stopped: ${one[STOP]}` : "", one[REPEATS] > 1 ? `first of ${one[REPEATS]}` : "",
    ].filter(Boolean).join(" · ");
    const said = (one) => one[REPEATS] === 0 ? "(no reply)" : one[TEXT] < 0 ? "(left out for size; the run record has it)" : texts[one[TEXT]] || "(empty)";

    function inside({ one, place, now, before }) {
      const box = make("div", "inside"), suite = one.suite, two = make("div", "two");
      const system = texts[suite.systems[place]];
      if (system && !one.skills) {
        const folded = make("details"), body = make("pre", "", system);
        body.tabIndex = 0;
        folded.append(make("summary", "muted small", "System prompt"), body);
        box.append(folded);
      }
      box.append(block("Prompt", texts[one.asked], one.where));
      const expected = texts[one.expected];
      if (expected) box.append(block("Expected", expected));
      if (before) two.append(block(`Before: ${suite.variants[one.skills ? suite.bases[place] : suite.baseline]}`, said(before), took(before)));
      two.append(block(`Now: ${suite.variants[place]}`, said(now), took(now)));
      box.append(two);
      const differs = expected && now[TEXT] > 0 && diff(expected, texts[now[TEXT]]);
      if (differs) box.append(block("Expected and got, word by word", differs));
      if (now[FAULT]) box.append(block(now[REPEATS] ? "Fault of its form" : "Why there is none", texts[now[FAULT]]));
      if (now[WRONG]) box.append(block("What is wrong", texts[now[WRONG]]));
      if (now[CALLED].length) box.append(block("Tools it called", now[CALLED].map((text) => texts[text]).join("\n")));
      if (now[PASSAGES].length) box.append(block("Passages it was given", now[PASSAGES].map((text) => texts[text]).join("\n\n")));
      if (one.tags.length) box.append(make("p", "muted small", `tags: ${one.tags.join(", ")}`));
      return box;
    }

    // Longest common subsequence of words; nothing where the two hardly have any in common.
    function diff(before, after) {
      const a = before.split(/(\s+)/).filter(Boolean), b = after.split(/(\s+)/).filter(Boolean);
      if (a.length < 3 || a.length > 400 || b.length > 400 || before === after) return null;
      const long = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
      for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--)
        long[i][j] = a[i] === b[j] ? long[i + 1][j + 1] + 1 : Math.max(long[i + 1][j], long[i][j + 1]);
      if (3 * long[0][0] < a.length) return null;
      const made = document.createDocumentFragment();
      let i = 0, j = 0;
      while (i < a.length || j < b.length) {
        if (i < a.length && j < b.length && a[i] === b[j]) { made.append(visible(a[i])); i++; j++; }
        else if (i < a.length && (j === b.length || long[i + 1][j] >= long[i][j + 1])) made.append(make("del", "", a[i++]));
        else made.append(make("ins", "", b[j++]));
      }
      return made;
    }

    function go(suite, gate, variant, kind) {
      const place = suites.findIndex((one) => one.name === suite);
      field("suite").value = String(Math.max(0, place));
      refill();
      field("gate").value = gate;
      refill();
      const own = suiteNow().variants.indexOf(variant);
      field("variant").value = own < 0 ? "" : String(own);
      field("kind").value = kind;
      field("tag").value = field("words").value = "";
      choose();
    }
    let waiting = 0;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      if (event.target.name === "suite" || event.target.name === "gate") refill();
      if (event.target.name !== "words") return choose();
      clearTimeout(waiting);
      waiting = setTimeout(choose, 60);
    });
    more.addEventListener("click", () => {
      const first = shown;
      next();
      list.children[first]?.querySelector("summary").focus();
    });
    let first = null;
    for (const button of document.querySelectorAll(".to-cases")) {
      first = first || button;
      button.hidden = false;
      button.addEventListener("click", () => {
        go(button.dataset.suite, button.dataset.gate, button.dataset.variant, "lost");
        at("cases").scrollIntoView();
        list.querySelector("summary")?.focus({ preventScroll: true });
      });
    }
    form.hidden = false;
    if (first) go(first.dataset.suite, first.dataset.gate, first.dataset.variant, first.closest("details").open ? "lost" : "");
    else choose();
    root.dataset.ready = "yes";
  }

  unpacked().then(explore).catch((error) => {
    at("count").textContent = `The cases cannot be shown in this browser (${error.message}); the run record has them.`;
  });
})();
