// Asks the search of a built site, by the code that the site itself runs: prints the places found.
// node search.mjs SITE < questions, one a line
import {readdirSync, readFileSync} from "node:fs";

const site = process.argv[2];
const workers = `${site}/assets/javascripts/workers/`;
const worker = readdirSync(workers).find((name) => name.startsWith("search"));
const index = JSON.parse(readFileSync(`${site}/search.json`, "utf8"));
const waiting = [];
globalThis.self = {postMessage: (message) => waiting.shift()(message)};
(0, eval)(readFileSync(workers + worker, "utf8"));

const ask = (message) =>
  new Promise((told) => {
    waiting.push(told);
    self.onmessage({data: message});
  });

await ask({type: 0, data: index});
const found = {};
for (const question of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const {data} = await ask({type: 2, data: {input: question}});
  found[question] = data.items.map(({id}) => index.items[id].location);
}
console.log(JSON.stringify(found));
