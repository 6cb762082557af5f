// The profile `smoke` for those who have k6: a few users ask the public models in turn.
//
//   harness up                                        (in another terminal; prints address and key)
//   k6 run -e HOST=http://127.0.0.1:PORT -e KEY=... loadtests/k6/smoke.js
//
// MODELS=a,b asks these only; USERS and DURATION are 4 and 15s unless given. k6 ends with 0 if
// every stream was whole, with 99 if one was not, with another code if none could be asked.
//
// k6 reads an answer when all of it has arrived, so it knows no time to first token: what it can
// check is that every stream is whole, and how long the whole answer took. For TTFT, ITL and
// TPOT take `locust -f loadtests/`.

import http from "k6/http";
import { check, sleep } from "k6";
import exec from "k6/execution";
import { Rate, Trend } from "k6/metrics";

const HOST = (__ENV.HOST || "").replace(/\/+$/, "");
const MODELS = (__ENV.MODELS || "").split(",").filter(Boolean);
const PATIENCE_S = Number(__ENV.PATIENCE || 60); // for one answer
const OURS = /^https?:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?(\/|$)/;
const HEADERS = {
  "content-type": "application/json",
  ...(__ENV.KEY ? { authorization: `Bearer ${__ENV.KEY}` } : {}),
};

const whole = new Rate("answers_whole");
const e2e = new Trend("e2e_ms", true);

export const options = {
  scenarios: {
    smoke: {
      executor: "constant-vus",
      vus: Number(__ENV.USERS || 4),
      duration: __ENV.DURATION || "15s",
      // Longer than an answer may take: k6 counts nothing of an iteration that it cuts off, and
      // a rate of nothing passes.
      gracefulStop: `${PATIENCE_S + 10}s`,
    },
  },
  thresholds: { answers_whole: ["rate==1"], iterations: ["count>0"] },
};

export function setup() {
  if (!HOST) throw new Error("give -e HOST=http://127.0.0.1:PORT");
  if (!OURS.test(HOST) && !__ENV.LIVE) {
    throw new Error(`${HOST} is not on this machine: if it is yours to load, give -e LIVE=1`);
  }
  const models = MODELS.length ? MODELS : publicModels();
  if (!models.length) throw new Error(`${HOST} names no model: give -e MODELS=name,name`);
  return models;
}

function publicModels() {
  const answer = http.get(`${HOST}/v1/models`, { headers: HEADERS, timeout: `${PATIENCE_S}s` });
  if (answer.status !== 200) {
    const why = answer.error || `status ${answer.status}`;
    throw new Error(`${HOST}/v1/models: ${why}; is it up, and is -e KEY=... right?`);
  }
  return answer.json("data").map((model) => model.id);
}

// What keeps an answer from being whole, or nothing: whole is status 200, a finish reason,
// [DONE] at the end, and no error object on the way.
function flaw(answer) {
  if (answer.status !== 200) return answer.error || `status ${answer.status}`;
  const events = (answer.body || "")
    .split(/\r?\n\r?\n/)
    .map((event) => event.trim())
    .filter((event) => event.startsWith("data:"))
    .map((event) => event.slice(5).trim());
  if (events.pop() !== "[DONE]") return "no [DONE] at the end";
  let finished = false;
  for (const event of events) {
    let chunk;
    try {
      chunk = JSON.parse(event) || {};
    } catch (error) {
      return "a chunk that is not JSON";
    }
    if (chunk.error) return "an error in the stream";
    finished = finished || (chunk.choices || []).some((choice) => choice.finish_reason);
  }
  return finished ? "" : "no finish_reason";
}

export default function (models) {
  const number = exec.scenario.iterationInTest;
  const model = models[number % models.length];
  const question = {
    model,
    messages: [{ role: "user", content: `smoke ${number}` }],
    max_tokens: 8 + ((number * 7) % 24), // lengths vary, or streams run in step
    temperature: 0,
    stream: true,
  };
  const answer = http.post(`${HOST}/v1/chat/completions`, JSON.stringify(question), {
    headers: HEADERS,
    tags: { name: model },
    timeout: `${PATIENCE_S}s`,
  });
  const why = flaw(answer);
  whole.add(!why);
  check(answer, { "the stream is whole": () => !why });
  if (!why) {
    e2e.add(answer.timings.duration);
  } else {
    console.error(`${model}: ${why}`);
    sleep(1); // nobody is helped by failing a thousand times a second
  }
}
