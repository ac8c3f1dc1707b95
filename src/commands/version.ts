import { readFileSync } from 'node:fs';
import { Command } from 'commander';

/** The version of this package, such as 0.1.0. */
export function version(): string {
  const found: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  if (typeof found === 'object' && found !== null && 'version' in found) return String(found.version);
  throw new TypeError('package.json has no version');
}

/** `dispatcher version`. */
export function command(): Command {
  return new Command('version').action(() => {
    process.stdout.write(`dispatcher ${version()}\n`);
  });
}
