// For `node -r`: every wait and time limit of that process is 20 times as short, and nothing else is
// different. So a test may let it run into all of them.
const factor = 20;

const { setTimeout } = globalThis;
globalThis.setTimeout = (work, ms, ...rest) => setTimeout(work, (ms ?? 0) / factor, ...rest);

const timeout = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (ms) => timeout(Math.ceil(ms / factor));
