"use strict";
const byId = (id) => document.getElementById(id);
const root = document.documentElement;
const numberFormat = new Intl.NumberFormat("en");
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const escapeCharacter = (c) => c === "\n" ? c : c === "\t" ? " " : "\\u" + c.codePointAt(0).toString(16).padStart(4, "0");
const escapeControls = (text) => text.replace(CONTROLS, escapeCharacter);
const createElement = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = escapeControls(String(text));
  return element;
};
const createButton = (text, action, className = "") => {
  const button = createElement("button", className, text);
  button.type = "button";
  button.addEventListener("click", () => action(button));
  return button;
};

// Light and dark --------------------------------------------------------------------------
// A page from disk or in a frame may have no storage; then the choice lasts until it is closed.
const THEME_KEY = "pytest-ftgate theme";
const themeButton = byId("theme");
const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const labelTheme = () => { themeButton.textContent = isDark() ? "Light" : "Dark"; };
try { const theme = localStorage.getItem(THEME_KEY); if (["light", "dark"].includes(theme)) root.dataset.theme = theme; } catch { /* no storage */ }
themeButton.hidden = false;
themeButton.setAttribute("aria-label", "Switch between light and dark");
themeButton.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem(THEME_KEY, root.dataset.theme); } catch { /* no storage */ }
  labelTheme();
});
labelTheme();

// Copy ------------------------------------------------------------------------------------
async function copyText(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it and copy by hand";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}
