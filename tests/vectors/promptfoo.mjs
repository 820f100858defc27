// What promptfoo itself says: reads lines {assertion, output}, and writes a line for each, true or false.
// `node promptfoo.mjs FOLDER`, where FOLDER has promptfoo in its node_modules.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

Object.assign(process.env, { PROMPTFOO_DISABLE_TELEMETRY: "1", PROMPTFOO_DISABLE_UPDATE: "1" });
const { resolve } = createRequire(pathToFileURL(`${process.argv[2]}/`));
const { assertions } = await import(pathToFileURL(resolve("promptfoo")));

// An assertion that promptfoo refuses fails its test.
async function passes({ assertion, output, vars }) {
  try {
    const test = { vars: vars ?? {} };
    const result = await assertions.runAssertion({ assertion, test, providerResponse: { output } });
    return result.pass;
  } catch {
    return false;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(await passes(JSON.parse(line)));
}
process.exit();
