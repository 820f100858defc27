// Stands in for the tested model and for its graders while promptfoo judges fixed replies.
import fs from "node:fs";

const text = (name) => (process.env[name] ? fs.readFileSync(process.env[name], "utf8") : "[]");

export default class Stub {
  constructor(options) {
    this.isGrader = Boolean(options?.config?.grader);
    this.replies = this.isGrader ? [] : JSON.parse(text("FTGATE_REPLIES"));
  }

  id() {
    return this.isGrader ? "stub-grader" : "stub-model";
  }

  async callApi(prompt, context) {
    if (this.isGrader) return { output: grade(String(prompt)) };
    const number = context?.test?.metadata?.ftgateReply;
    // Without a number the configuration is only read: an error ends the test before it is graded.
    if (number === undefined) return { error: "only read" };
    return { output: this.replies[number], cost: 0, tokenUsage: { total: 2, prompt: 1, completion: 1 } };
  }

  async callEmbeddingApi(written) {
    const embedding = new Array(64).fill(0);
    for (const word of String(written).toLowerCase().split(/\W+/).filter(Boolean)) {
      let place = 0;
      for (const letter of word) place = (place * 31 + letter.charCodeAt(0)) % 64;
      embedding[place] += 1;
    }
    return { embedding };
  }

  async callModerationApi() {
    return { flags: [] };
  }
}

function grade(prompt) {
  const pass = process.env.FTGATE_GRADE !== "fail";
  // A closed question is answered by a letter; every other grader reads JSON.
  if (/Respond with .*"?Y"? or "?N"?|single character "?Y/is.test(prompt)) return pass ? "Y" : "N";
  // Criteria of G-Eval become steps first, in JSON that begins with them.
  return JSON.stringify({
    steps: ["a stub"],
    pass,
    score: pass ? 10 : 0,
    reason: "a stub",
    category: pass ? "A" : "D",
  });
}
