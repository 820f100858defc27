// The process that runs the JavaScript of suites. It reads one request a line, as JSON, and answers
// each with one line: the token of its arguments, and JSON. Other lines are output of that JavaScript.
"use strict";

const { writeSync } = require("fs");
const { createInterface } = require("readline");
const { Writable } = require("stream");
const { pathToFileURL } = require("url");
const { inspect } = require("util");
const { Script } = require("vm");
const { Worker } = require("worker_threads");

const token = process.argv[2];
const { parse, stringify } = JSON;
const MOST_CHARACTERS = 2000;
const DECLARES = /^(?:const|let|var)\s/;

// What JavaScript prints goes nowhere.
const nowhere = new Writable({ write: (chunk, encoding, done) => done() });
Object.defineProperty(process, "stdout", { value: nowhere });

// Of a parent that was killed, this process would learn only after the code that it runs.
const watch = `const parent = process.ppid;
setInterval(() => process.ppid === parent || process.kill(process.pid, "SIGKILL"), 500);`;
new Worker(watch, { eval: true }).unref();

// The line that waits for an answer. What an earlier one still does answers nothing.
let waiting = null;

function answer(line, message) {
  if (line === null || line !== waiting) return;
  waiting = null;
  const data = Buffer.from(`\n${token}${stringify(message)}\n`);
  for (let at = 0; at < data.length; ) {
    try {
      at += writeSync(1, data, at);
    } catch (error) {
      if (error.code !== "EAGAIN") process.exit(1);
    }
  }
}

function failed(error) {
  let text = "something that cannot be shown";
  let isOfCode = true;
  try {
    text = (error instanceof Error ? `${error.name}: ${error.message}` : inspect(error)).trim();
    // A text that is no JSON lies with the reply; a name that nothing defines, with the code.
    const isOfText = error instanceof SyntaxError && String(error.stack).includes("JSON.parse");
    isOfCode = (error instanceof SyntaxError && !isOfText) || error instanceof ReferenceError;
  } catch {}
  return { threw: text.slice(0, MOST_CHARACTERS), isOfCode };
}

function makes(parameters, body) {
  try {
    return new Function(...parameters, body);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function isScript(code) {
  try {
    return Boolean(new Script(code));
  } catch {
    return false;
  }
}

// One expression; declarations, the last statement of which counts; or a body with `return`.
function compiled(code) {
  const trimmed = code.trim().replace(/[;\s]+$/, "");
  const parameters = ["output", "context"];
  const whole = `return (${trimmed}\n);`;
  const expression = makes(parameters, whole);
  if (expression) return expression;
  // What is no script, yet a body, has a `return` of its own.
  const isWhole = isScript(trimmed);
  if (DECLARES.test(trimmed) && isWhole) {
    return new Function(...parameters, `return eval(${stringify(trimmed)});`);
  }
  const isFirst = isWhole && !trimmed.includes("\n");
  const first = isFirst ? makes(parameters, `return ${trimmed}`) : null;
  const isBody = /[;\n]|\breturn\b/.test(trimmed);
  const body = first || makes(parameters, trimmed);
  return body || new Function(...parameters, isBody ? trimmed : whole);
}

async function loaded(file, name) {
  const module = await import(pathToFileURL(file).href);
  const exported = (module.default && module.default.default) || module.default || module;
  if (name === undefined) {
    if (typeof exported === "function") return exported;
    throw new TypeError("the file exports no function by itself; name one: function: NAME");
  }
  const found = [exported, module].map((one) => one[name]).find((one) => typeof one === "function");
  if (found) return found;
  throw new TypeError(`the file exports no function "${name}"`);
}

const functions = new Map();

function functionOf({ code, file, name }) {
  const key = stringify([code, file, name]);
  if (!functions.has(key)) {
    functions.set(key, file === undefined ? compiled(code) : loaded(file, name));
  }
  return functions.get(key);
}

function isFinite(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function graded(value) {
  if (typeof value === "boolean") return { pass: value };
  if (isFinite(value)) return { score: value };
  if (value !== null && typeof value === "object" && typeof value.pass === "boolean") {
    const { pass, score, reason } = value;
    const text = reason === undefined || reason === null ? "" : String(reason);
    const shown = { pass, reason: text.slice(0, MOST_CHARACTERS) };
    if (score === undefined || score === null) return shown;
    if (isFinite(score)) return { ...shown, score };
  }
  return { returned: inspect(value, { depth: 1, breakLength: Infinity }).slice(0, 200) };
}

async function run(text) {
  const request = parse(text);
  if (request.folder === undefined) return { version: process.version };
  process.chdir(request.folder);
  const found = await functionOf(request);
  if (request.context === undefined) return {};
  try {
    return graded(await found(request.output, request.context));
  } catch (error) {
    return failed(error);
  }
}

function reply(text) {
  const line = { text };
  waiting = line;
  run(text).then(
    (message) => answer(line, message),
    (error) => answer(line, { ...failed(error), isOfCode: true }),
  );
}

for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (error) => answer(waiting, { ...failed(error), isOfCode: true }));
}
createInterface({ input: process.stdin }).on("line", reply).on("close", () => process.exit());
