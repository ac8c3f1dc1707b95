import { Command } from 'commander';
import { auditSchema, readConfig } from '../config.js';
import type { AuditEntry } from '../store/audit.js';
import { addSettings } from './options.js';
import { withAccess } from './serving/access.js';

const HELP = `
Each line is a change that somebody asked for through the API or a command of the system's user (local:NAME), refused ones too,
or a login that failed: when, who, what, what was answered (an HTTP status), from where, and the Audit-Id of the answer.

  dispatcher audit --since 1h --user ann
  dispatcher audit --since 720h --json | jq -r 'select(.code == 403) | .user' | sort | uniq -c`;

/** `dispatcher audit`. */
export function command(): Command {
  const audit = new Command('audit')
    .description('Prints who asked for which changes, and what was answered; the oldest first.')
    .option('--since <DURATION>', 'how far back, such as 1h', '24h')
    .option('--user <NAME>', 'of this user only')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', HELP);
  return addSettings(audit, 'dataDir', 'databaseUrl').action(run);
}

async function run(values: unknown): Promise<void> {
  const { since, user, json, ...where } = readConfig(auditSchema, values);
  await withAccess(where, async ({ audit }) => {
    if (!json) process.stdout.write(lineOf(['TIME', 'USER', 'VERB', 'RESOURCE', 'CODE', 'ADDRESS', 'AUDIT-ID']));
    const which = { since: new Date(Date.now() - since), ...(user !== undefined && { user }) };
    for await (const entry of audit.list(which))
      process.stdout.write(json ? `${JSON.stringify(entry)}\n` : lineOf(cellsOf(entry)));
  });
}

/** Wide enough for most: rows are printed as they come. */
const WIDTHS = [24, 16, 16, 48, 4, 15];

function lineOf(cells: readonly string[]): string {
  return `${cells
    .map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0))
    .join('  ')
    .trimEnd()}\n`;
}

function cellsOf({ at, user, verb, group, resource, namespace, name, code, address, requestId }: AuditEntry): string[] {
  const what = [group === '' ? resource : resource.replace(/(?=\/|$)/, `.${group}`), namespace, name]
    .filter((part) => part !== '')
    .join(' ');
  return [at.toISOString(), user, verb, what, String(code), address, requestId];
}
