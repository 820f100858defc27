
// The charts ------------------------------------------------------------------------------
// Each is drawn from the values in its element, as wide as the page, and again if that changes.
const CHARTS = (() => {
  const NARROW = 440, SERIES = ["blue", "red", "green", "violet", "amber"];
  const pen = document.createElement("canvas").getContext("2d");
  const fontFamily = getComputedStyle(document.body).fontFamily;
  const textWidth = (text, size = 13) => { pen.font = `${size}px ${fontFamily}`; return pen.measureText(text).width; };
  const widest = (texts, size) => Math.max(0, ...texts.map((text) => textWidth(text, size)));
  const fitText = (text, width, size) => {
    if (textWidth(text, size) <= width) return text;
    let end = text.length;
    while (end > 1 && textWidth(text.slice(0, end) + "…", size) > width) end -= 1;
    return text.slice(0, end) + "…";
  };
  const createShape = (tag, attributes = {}, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, typeof value === "number" ? Math.round(value * 10) / 10 : value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const percentText = (share) => `${Math.round(1000 * share) / 10} %`.replace(/(\d\d+)\.\d %/, (_, whole) => `${whole} %`);
  const roundPercent = (share) => `${Math.round(100 * share)} %`;
  const shortNumber = (value) => value >= 1e6 ? `${value / 1e6}M` : value >= 1e4 ? `${value / 1e3}k` : numberFormat.format(value);

  const tip = createElement("div", "tip");
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const showTip = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const width = tip.offsetWidth, height = tip.offsetHeight;
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? y - height - 12 : y + 18}px`;
  };
  const hideTip = () => { tip.hidden = true; };
  addEventListener("scroll", hideTip, { passive: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  // A mark tells its values on hover, on focus and to a screen reader; with href it leads to cases.
  function markElement(text, href) {
    const mark = createShape(href ? "a" : "g", href ? { href, class: "mark", "aria-label": `${text.replaceAll("\n", ", ")}: show the cases` } : { class: "mark" });
    mark.addEventListener("pointermove", (event) => showTip(href ? `${text}\nclick: its cases` : text, event.clientX, event.clientY));
    mark.addEventListener("pointerleave", hideTip);
    mark.addEventListener("focus", () => { const box = mark.getBoundingClientRect(); showTip(text, box.left + 40, box.bottom - 20); });
    mark.addEventListener("blur", hideTip);
    return mark;
  }
  const line = (x1, y1, x2, y2, colour, width = 1, more = {}) => createShape("line", { x1, y1, x2, y2, class: `s-${colour}`, "stroke-width": width, ...more });
  const dot = (cx, cy, colour, isRing) => createShape("circle", { cx, cy, r: 5, class: isRing ? `f-back s-${colour}` : `f-${colour} s-${colour}`, "stroke-width": 2 });
  const label = (x, y, text, more = {}) => createShape("text", { x, y, "font-size": 13, class: "f-ink", ...more }, text);
  const small = (x, y, text, more = {}) => label(x, y, text, { "font-size": 12, class: "f-muted", ...more });
  const hitArea = (x, y, width, height) => createShape("rect", { x, y, width, height, class: "hit", rx: 4 });

  // Positions for logarithmic values; from 0 to 1 the scale is linear, since a price may be 0.
  const symlog = (value) => value <= 1 ? value : 1 + Math.log10(value);
  function logTicks(low, high) {
    const ticks = (steps) => {
      const found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
        for (const step of steps) { const value = step * 10 ** power; if (value >= low * 0.999 && value <= high * 1.001) found.push(value); }
      return found;
    };
    const decades = ticks([1]);
    return decades.length > 2 ? decades : ticks([1, 2, 5]);
  }
  function linearTicks(high, most) {
    const raw = high / most, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
    return Array.from({ length: Math.floor(high / step) + 1 }, (_, n) => Number((n * step).toPrecision(6)));
  }
  function legend(series) {
    const box = createElement("p", "legend");
    series.forEach((one, index) => box.append(createElement("span", `swatch b-${SERIES[index % SERIES.length]}`), createElement("span", "", one.name)));
    return box;
  }
  const shareAxis = (svg, left, right, top, bottom, yOf) => {
    for (const share of [0, 0.25, 0.5, 0.75, 1]) svg.append(line(left, yOf(share), right, yOf(share), "line"), small(left - 8, yOf(share) + 4, roundPercent(share), { "text-anchor": "end" }));
  };

  // Rows with a name at their left, or above them on a narrow page, and the value at the right.
  function layoutRows(rows, width, top) {
    const isNarrow = width < NARROW, height = isNarrow ? 46 : 30;
    const names = isNarrow ? 0 : Math.min(0.36 * width, widest(rows.map((row) => row.name)) + 16);
    const left = isNarrow ? 16 : names, right = width - widest(rows.map((row) => row.text)) - 18;
    return { isNarrow, height, left, right, top, bottom: top + rows.length * height, y: (index) => top + index * height + (isNarrow ? 30 : 15) };
  }
  function nameRow(mark, row, place, y, width) {
    const weight = row.bold ? { "font-weight": 650 } : {}, indent = row.sub && place.isNarrow ? 10 : 0;
    if (place.isNarrow) mark.append(label(indent, y - 13, fitText(row.name, width, 13), weight));
    else mark.append(label(0, y + 4.5, fitText(row.name, place.left - 12, 13), { ...weight, class: row.sub ? "f-muted" : "f-ink" }));
    mark.append(label(width, y + 4.5, row.text, { ...weight, "text-anchor": "end" }));
  }
  function drawRows({ rows, limits = [] }, width) {
    const place = layoutRows(rows, width, limits.length ? 26 : 8), x = (share) => place.left + share * (place.right - place.left);
    const svg = createShape("svg"), ticks = place.isNarrow ? [0, 0.5, 1] : [0, 0.2, 0.4, 0.6, 0.8, 1];
    for (const share of ticks) svg.append(line(x(share), place.top, x(share), place.bottom, "line"), small(x(share), place.bottom + 16, roundPercent(share), { "text-anchor": "middle" }));
    limits.forEach(({ at, label: text, dashed }, index) => {
      const isLeft = limits.length > 1 ? at <= limits[1 - index].at && !(index && at === limits[0].at) : at > 0.3;
      svg.append(line(x(at), place.top - 4, x(at), place.bottom, "red", 1.5, dashed ? { "stroke-dasharray": "5 4" } : {}),
        small(x(at) + (isLeft ? -5 : 5), place.top - 8, text, { class: "f-red", "text-anchor": isLeft ? "end" : "start" }));
    });
    rows.forEach((row, index) => {
      const y = place.y(index), interval = row.low === undefined || row.high === undefined ? "" : `\n95 % CI ${percentText(row.low)} to ${percentText(row.high)}`;
      const mark = markElement(`${row.name.replace(/^· /, "")}: ${row.text}${interval}${row.cases ? `\n${numberFormat.format(row.cases)} cases` : ""}`, row.href);
      mark.append(hitArea(0, place.top + index * place.height, width, place.height));
      if (interval) mark.append(line(x(row.low), y, x(row.high), y, row.colour, row.before === undefined ? 2.5 : 7, row.before === undefined ? {} : { class: `s-${row.colour} faint` }));
      if (row.before !== undefined) mark.append(line(x(row.before), y, x(row.value), y, row.colour, 2), dot(x(row.before), y, row.colour, true));
      if (row.limit) mark.append(line(x(row.limit), y - 9, x(row.limit), y + 9, "ink", 2));
      mark.append(dot(x(row.value), y, row.colour));
      nameRow(mark, row, place, y, width);
      svg.append(mark);
    });
    return [svg, place.bottom + 24];
  }
  function drawSpreads({ rows, axis }, width) {
    const place = layoutRows(rows, width, 8), all = rows.flatMap((row) => row.quantiles), low = Math.min(...all), high = Math.max(...all);
    const isLog = low > 0 && high > 20 * low, from = isLog ? Math.log10(low) : 0, to = isLog ? Math.log10(high) : high;
    const x = (value) => place.left + ((isLog ? Math.log10(value) : value) - from) / (to - from || 1) * (place.right - place.left);
    const svg = createShape("svg");
    for (const value of isLog ? logTicks(low, high) : linearTicks(high, place.isNarrow ? 3 : 6))
      svg.append(line(x(value), place.top, x(value), place.bottom, "line"), small(x(value), place.bottom + 16, shortNumber(value), { "text-anchor": "middle" }));
    rows.forEach((row, index) => {
      const y = place.y(index), [p5, q1, median, q3, p95] = row.quantiles, show = (value) => numberFormat.format(Math.round(value));
      const mark = markElement(`${row.name}: median ${row.text}\nmiddle half: ${show(q1)} to ${show(q3)} ms\n5 to 95 in 100: ${show(p5)} to ${show(p95)} ms`);
      mark.append(hitArea(0, place.top + index * place.height, width, place.height), line(x(p5), y, x(p95), y, "blue", 2),
        createShape("rect", { x: x(q1), y: y - 7, width: Math.max(1, x(q3) - x(q1)), height: 14, rx: 2, class: "f-sky" }), line(x(median), y - 8, x(median), y + 8, "ink", 2.5));
      nameRow(mark, row, place, y, width);
      svg.append(mark);
    });
    svg.append(small((place.left + place.right) / 2, place.bottom + 34, axis, { "text-anchor": "middle" }));
    return [svg, place.bottom + 42];
  }
  function drawPoints({ rows, axis }, width) {
    const left = 48, right = width - 16, top = 14, bottom = width < NARROW ? 260 : 300;
    const xs = rows.map((row) => row.x), low = Math.min(...xs), high = Math.max(...xs), isLog = low > 0 && high > 20 * low;
    const scale = isLog ? Math.log10 : (value) => value, from = isLog ? scale(low) - 0.1 : 0, to = isLog ? scale(high) + 0.1 : (high || 1) * 1.08;
    const x = (value) => left + (scale(value) - from) / (to - from) * (right - left), y = (share) => bottom - share * (bottom - top);
    const svg = createShape("svg"), taken = [];
    shareAxis(svg, left, right, top, bottom, y);
    for (const value of isLog ? logTicks(10 ** from, 10 ** to) : linearTicks(to, width < NARROW ? 3 : 6)) svg.append(small(x(value), bottom + 18, shortNumber(value), { "text-anchor": "middle" }));
    svg.append(small((left + right) / 2, bottom + 36, axis, { "text-anchor": "middle" }));
    const best = rows.filter((row) => row.best).sort((a, b) => a.x - b.x);
    if (best.length > 1) svg.append(createShape("polyline", { points: best.flatMap((row, n) => [...(n ? [`${x(row.x)},${y(best[n - 1].value)}`] : []), `${x(row.x)},${y(row.value)}`]).join(" "), class: "s-muted", fill: "none", "stroke-width": 1.5, "stroke-dasharray": "5 4" }));
    for (const row of rows) taken.push({ x: x(row.x) - 7, y: y(row.value) - 7, width: 14, height: 14 });
    rows.forEach((row) => {
      const mark = markElement(`${row.name}: ${row.text}\n95 % CI ${percentText(row.low)} to ${percentText(row.high)}`), px = x(row.x), py = y(row.value), width = textWidth(row.name);
      const places = [[10, -7], [-10 - width, -7], [10, 16], [-10 - width, 16], [-width / 2, -14], [-width / 2, 24], [10, -24], [10, 33]];
      const boxes = places.map(([dx, dy]) => ({ x: px + dx, y: py + dy - 11, width, height: 15 }));
      const isFree = (box) => box.x >= left + 2 && box.x + box.width <= right + 16 && box.y >= 0 && box.y + 15 <= bottom + 4 &&
        taken.every((other) => box.x + box.width < other.x || other.x + other.width < box.x || box.y + box.height < other.y || other.y + other.height < box.y);
      const box = boxes.find(isFree) || boxes[0];
      taken.push(box);
      mark.append(hitArea(px - 14, py - 14, 28, 28), line(px, y(row.low), px, y(row.high), row.colour, 2), dot(px, py, row.colour), label(box.x, box.y + 11, row.name));
      svg.append(mark);
    });
    return [svg, bottom + 44];
  }
  // Lines end in their names, moved apart; a narrow page has a legend instead.
  function drawSeries({ series, x: xs, axis, declared, marked }, width, { isLog, y, ticks, show }) {
    const isNarrow = width < NARROW, top = 12, bottom = isNarrow ? 230 : 270, left = 54;
    const right = width - (isNarrow ? 14 : Math.min(0.3 * width, widest(series.map((one) => one.name)) + 16));
    const position = (index) => isLog ? (Math.log10(xs[index]) - Math.log10(xs[0])) / (Math.log10(xs.at(-1)) - Math.log10(xs[0]) || 1) : index / Math.max(1, xs.length - 1);
    const px = (index) => left + position(index) * (right - left), py = (value) => bottom - y(value) * (bottom - top), svg = createShape("svg");
    for (const value of ticks) svg.append(line(left, py(value), right, py(value), "line"), small(left - 8, py(value) + 4, show(value), { "text-anchor": "end" }));
    let lastEnd = -Infinity;
    xs.forEach((value, index) => {
      const text = isLog ? shortNumber(value) : value, half = textWidth(text, 12) / 2, isRound = !isLog || /^1(\.0*)?0*$/.test(String(value));
      if (!isRound || Math.min(px(index), width - half) - half < lastEnd + 8) return;
      svg.append(small(Math.min(px(index), width - half), bottom + 18, text, { "text-anchor": "middle" }));
      lastEnd = px(index) + half;
    });
    if (declared) { const at = left + (Math.log10(declared) - Math.log10(xs[0])) / (Math.log10(xs.at(-1)) - Math.log10(xs[0])) * (right - left); svg.append(line(at, top, at, bottom, "muted", 1.5, { "stroke-dasharray": "5 4" })); }
    if (marked) svg.append(line(px(marked.at), top, px(marked.at), bottom, "muted", 1.5, { "stroke-dasharray": "5 4" }), small(px(marked.at) + (marked.at ? -5 : 5), bottom - 6, marked.label, { "text-anchor": marked.at ? "end" : "start" }));
    const ends = [];
    series.forEach((one, number) => {
      const colour = SERIES[number % SERIES.length], known = one.values.map((value, index) => [value, index]).filter(([value]) => value !== null);
      if (one.low) svg.append(createShape("polygon", { points: [...one.high.map((value, index) => `${px(index)},${py(value)}`), ...one.low.map((value, index) => `${px(index)},${py(value)}`).reverse()].join(" "), class: `f-${colour} faint` }));
      svg.append(createShape("polyline", { points: known.map(([value, index]) => `${px(index)},${py(value)}`).join(" "), class: `s-${colour}`, fill: "none", "stroke-width": 2.2 }));
      if (one.floor) svg.append(line(left, py(one.floor), right, py(one.floor), colour, 1.5, { "stroke-dasharray": "5 4" }));
      if (!isLog) for (const [value, index] of known) svg.append(createShape("circle", { cx: px(index), cy: py(value), r: 3.5, class: `f-${colour}` }));
      ends.push({ name: one.name, colour, y: py(known.at(-1)[0]), x: px(known.at(-1)[1]) });
    });
    if (!isNarrow) {
      ends.sort((a, b) => a.y - b.y).forEach((end, index) => { end.at = Math.max(end.y, index ? ends[index - 1].at + 16 : 0); });
      for (const end of ends) svg.append(label(right + 8, end.at + 4, fitText(end.name, width - right - 8), { class: `f-${end.colour}` }));
    }
    xs.forEach((value, index) => {
      const from = index ? (px(index - 1) + px(index)) / 2 : left, to = index < xs.length - 1 ? (px(index) + px(index + 1)) / 2 : right;
      const told = series.filter((one) => one.values[index] !== null).map((one) => `${one.name}: ${isLog ? `${numberFormat.format(one.values[index])} USD` : percentText(one.values[index])}${one.low && !isLog ? ` (${percentText(one.low[index])} to ${percentText(one.high[index])})` : ""}`);
      const mark = markElement(`${isLog ? `${numberFormat.format(value)} ${axis}` : value}\n${told.join("\n")}`);
      mark.append(hitArea(from, top, Math.max(1, to - from), bottom - top));
      svg.append(mark);
    });
    if (axis) svg.append(small((left + right) / 2, bottom + 36, axis, { "text-anchor": "middle" }));
    return [svg, bottom + (axis ? 44 : 26), isNarrow && series.length > 1 ? legend(series) : null];
  }
  const drawLines = (values, width) => drawSeries(values, width, { isLog: false, y: (share) => share, ticks: [0, 0.25, 0.5, 0.75, 1], show: roundPercent });
  function drawBands(values, width) {
    const high = Math.max(1, ...values.series.flatMap((one) => one.high)), ticks = [0];
    for (let value = 1; value <= high * 1.001; value *= 10) ticks.push(value);
    return drawSeries(values, width, { isLog: true, y: (value) => symlog(value) / symlog(high), ticks, show: shortNumber });
  }

  const DRAW = { rows: drawRows, spreads: drawSpreads, points: drawPoints, lines: drawLines, bands: drawBands };
  function drawChart(element) {
    const values = JSON.parse(element.dataset.chart), width = Math.floor(element.clientWidth);
    if (width < 40 || width === element.drawnWidth) return;
    element.drawnWidth = width;
    // A narrow page shows the families, and their skills on a tap.
    const skills = values.rows?.filter((row) => row.sub).length, isShort = width < NARROW && skills > 0 && !element.isWhole;
    if (isShort) values.rows = values.rows.filter((row) => !row.sub);
    const [svg, height, below] = DRAW[values.kind](values, width);
    for (const [key, value] of Object.entries({ viewBox: `0 0 ${width} ${Math.ceil(height)}`, width, height: Math.ceil(height), class: "plot", role: "group", "aria-label": element.dataset.label })) svg.setAttribute(key, value);
    element.replaceChildren(svg, ...(below ? [below] : []));
    if (isShort) element.append(createButton(`Show the ${skills} skills`, () => { element.isWhole = true; element.drawnWidth = 0; drawChart(element); }, "small"));
  }
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => drawChart(entry.target)));
  return { watch: (element) => { drawChart(element); observer.observe(element); } };
})();
document.querySelectorAll("[data-chart]").forEach(CHARTS.watch);
