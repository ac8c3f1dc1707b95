#!/usr/bin/env node
import { existsSync } from 'node:fs';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const main = new URL('../dist/main.js', import.meta.url);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`dispatcher: needs Node.js 20.19 or later, and this is ${process.version}\n`);
  process.exit(1);
}
if (!existsSync(main)) {
  process.stderr.write('dispatcher: it is not built yet: run "npm run build" (npm ci does, but for --ignore-scripts)\n');
  process.exit(1);
}
await import(main.href);
