// The profile `smoke` for those who have k6: a few users ask the public models in turn.
//
//   harness up                                        (in another terminal; prints address and key)
//   k6 run -e HOST=http://127.0.0.1:PORT -e KEY=... -e MODELS=a,b loadtests/k6/smoke.js
//
// k6 reads an answer when all of it has arrived, so it knows no time to first token: what it can
// check is that every stream is whole, and how long the whole answer took. For TTFT, ITL and
// TPOT take `locust -f loadtests/`.

import http from "k6/http";
import { check } from "k6";
import exec from "k6/execution";
import { Rate, Trend } from "k6/metrics";

const HOST = (__ENV.HOST || "").replace(/\/+$/, "");
const MODELS = (__ENV.MODELS || "").split(",").filter(Boolean);
const OURS = /^https?:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?(\/|$)/;

const whole = new Rate("answers_whole");
const e2e = new Trend("e2e_ms", true);

export const options = {
  scenarios: {
    smoke: {
      executor: "constant-vus",
      vus: Number(__ENV.USERS || 4),
      duration: __ENV.DURATION || "15s",
    },
  },
  thresholds: { answers_whole: ["rate==1"] },
};

export function setup() {
  if (!HOST || MODELS.length === 0) {
    throw new Error("give -e HOST=http://127.0.0.1:PORT and -e MODELS=name,name");
  }
  if (!OURS.test(HOST) && !__ENV.LIVE) {
    throw new Error(`${HOST} is not on this machine: if it is yours to load, give -e LIVE=1`);
  }
}

// Whole: status 200, a finish reason, [DONE] at the end, and no error object on the way.
export function isWhole(status, body) {
  if (status !== 200 || !body) return false;
  const events = body
    .split(/\r?\n\r?\n/)
    .map((event) => event.trim())
    .filter((event) => event.startsWith("data:"))
    .map((event) => event.slice(5).trim());
  if (events.pop() !== "[DONE]") return false;
  let finished = false;
  for (const event of events) {
    let chunk;
    try {
      chunk = JSON.parse(event);
    } catch (error) {
      return false;
    }
    if (chunk.error) return false;
    finished = finished || (chunk.choices || []).some((choice) => choice.finish_reason);
  }
  return finished;
}

export default function () {
  const number = exec.scenario.iterationInTest;
  const answer = http.post(
    `${HOST}/v1/chat/completions`,
    JSON.stringify({
      model: MODELS[number % MODELS.length],
      messages: [{ role: "user", content: `smoke ${number}` }],
      max_tokens: 8 + ((number * 7) % 24), // lengths vary, or streams run in step
      temperature: 0,
      stream: true,
    }),
    {
      headers: {
        "content-type": "application/json",
        ...(__ENV.KEY ? { authorization: `Bearer ${__ENV.KEY}` } : {}),
      },
      tags: { name: MODELS[number % MODELS.length] },
      timeout: "60s",
    },
  );
  const good = isWhole(answer.status, answer.body);
  check(answer, { "the stream is whole": () => good });
  whole.add(good);
  if (good) e2e.add(answer.timings.duration);
}
