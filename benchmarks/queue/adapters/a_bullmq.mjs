// BullMQ: node a_bullmq.mjs worker | enqueue N KIND | bulk N KIND | latency N KIND
import { createRequire } from "module";
import fs from "fs";

const require = createRequire(process.env.PEER_NODE + "/");
const { Queue, Worker, QueueEvents } = require("bullmq");

const address = new URL(process.env.PEER_REDIS);
const connection = { host: address.hostname, port: Number(address.port), maxRetriesPerRequest: null };
const data = { noop: {}, blob: { text: "x".repeat(1024) } };
const run = { noop: async () => null, blob: async (input) => input.text };
const [what, count, kind] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const now = () => Number(process.hrtime.bigint()) / 1e9;
const cpu = () => Object.values(process.cpuUsage()).reduce((sum, each) => sum + each, 0) / 1e6;

async function timed(work) {
  const [began, used] = [now(), cpu()];
  await work();
  return { n: count, s: now() - began, cpu: cpu() - used };
}

if (what === "worker") {
  const concurrency = Number(process.env.PEER_C || 1);
  new Worker("peer", (job) => run[job.name](job.data), { connection, concurrency }).on("error", () => {});
} else {
  const queue = new Queue("peer", { connection });
  await queue.waitUntilReady();
  let result;
  if (what === "enqueue") {
    await queue.add(kind, data[kind]);
    result = await timed(async () => {
      for (let done = 0; done < count; done++) await queue.add(kind, data[kind]);
    });
  } else if (what === "bulk") {
    result = await timed(async () => {
      for (let done = 0; done < count; done += 500) {
        const size = Math.min(500, count - done);
        await queue.addBulk(Array.from({ length: size }, () => ({ name: kind, data: data[kind] })));
      }
    });
  } else {
    const events = new QueueEvents("peer", { connection });
    await events.waitUntilReady();
    const lat = [];
    for (let done = 0; done < count + 20; done++) {
      const began = now();
      const job = await queue.add(kind, data[kind]);
      await job.waitUntilFinished(events, 20000);
      lat.push(now() - began);
    }
    result = { lat: lat.slice(20) };
  }
  fs.writeSync(1, JSON.stringify(result) + "\n");
  process.exit(0);
}
