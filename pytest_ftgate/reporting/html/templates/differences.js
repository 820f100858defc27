
// Where two texts differ -------------------------------------------------------------------
// The longest common subsequence of tokens, as pairs of a kind and a text; null if they share little.
function diffTokens(before, after) {
  const most = 1500, shortest = Math.min(before.length, after.length);
  let start = 0, end = 0;
  while (start < shortest && before[start] === after[start]) start++;
  while (end < shortest - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  const a = before.slice(start, before.length - end), b = after.slice(start, after.length - end);
  const around = (parts) => [["", before.slice(0, start).join("")], ...parts, ["", before.slice(before.length - end).join("")]];
  if (a.length > most || b.length > most)
    return 3 * (start + end) < before.length ? null : around([["del", a.join("")], ["ins", b.join("")]]);
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--)
    lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  if (3 * (start + end + lengths[0][0]) < before.length) return null;
  const parts = [];
  const add = (kind, text) => { if (parts.at(-1)?.[0] === kind) parts.at(-1)[1] += text; else parts.push([kind, text]); };
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) { add("", a[i++]); j++; }
    else if (i < a.length && (j === b.length || lengths[i + 1][j] >= lengths[i][j + 1])) add("del", a[i++]);
    else add("ins", b[j++]);
  }
  return around(parts);
}
const asJson = (text) => { try { const value = JSON.parse(text); return value && typeof value === "object" ? JSON.stringify(value, null, 2) : null; } catch { return null; } };
// Words of prose; strings, numbers and marks of JSON, in which a changed one differs by character.
function textParts(before, after) {
  const jsons = [asJson(before), asJson(after)], areJson = jsons.every(Boolean);
  const [x, y] = areJson ? jsons : [before, after];
  if (x === y) return null;
  const tokens = (text) => areJson ? text.match(/\s+|"(?:[^"\\]|\\.)*"|[\w.+-]+|./gs) : text.split(/(\s+)/).filter(Boolean);
  const [a, b] = [tokens(x), tokens(y)];
  const parts = a.length < 3 ? null : diffTokens(a, b);
  if (!parts) return null;
  const found = [], append = (kind, text) => { if (text) found.push([kind, text]); };
  for (let n = 0; n < parts.length; n++) {
    const [kind, text] = parts[n], next = parts[n + 1];
    if (areJson && kind === "del" && next?.[0] === "ins") {
      let start = 0, end = 0;
      while (start < text.length && text[start] === next[1][start]) start++;
      while (end < Math.min(text.length, next[1].length) - start && text.at(-1 - end) === next[1].at(-1 - end)) end++;
      append("", text.slice(0, start));
      append("del", text.slice(start, text.length - end));
      append("ins", next[1].slice(start, next[1].length - end));
      append("", text.slice(text.length - end));
      n++;
    } else append(kind, text);
  }
  return found;
}
const showParts = (parts) => {
  const fragment = document.createDocumentFragment();
  for (const [kind, text] of parts) fragment.append(kind ? createElement(kind, "", text) : escapeControls(text));
  return fragment;
};
const textDiff = (before, after) => { const parts = textParts(before, after); return parts && showParts(parts); };
